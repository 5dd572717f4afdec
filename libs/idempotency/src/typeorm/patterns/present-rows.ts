import type { FindOptionsWhere, ObjectLiteral, QueryRunner, Repository } from 'typeorm';
import { dataSourceOf, dialectOf } from './connection.js';

/**
 * Rows as they are now, deleted softly or not, on the connection that has just been refused because of them.
 *
 * On MariaDB and MySQL the snapshot of a transaction may be older than the row. What is read with a lock is read as it is.
 */
export async function presentRows<Entity extends ObjectLiteral>(
  tool: string,
  repository: Repository<Entity>,
  runner: QueryRunner,
  where: ObjectLiteral | readonly ObjectLiteral[],
): Promise<readonly Entity[]> {
  const dialect = dialectOf(tool, dataSourceOf(repository));
  const select = repository.createQueryBuilder(undefined, runner).setFindOptions({
    where: where as FindOptionsWhere<Entity>,
    withDeleted: true,
    loadEagerRelations: false,
  });
  if (runner.isTransactionActive && dialect === 'mariadb') select.setLock('pessimistic_read');
  // TypeORM writes FOR SHARE there, which a MariaDB that is called `mysql` does not know.
  if (runner.isTransactionActive && dialect === 'mysql') select.setLock('pessimistic_write');
  return select.getMany();
}
