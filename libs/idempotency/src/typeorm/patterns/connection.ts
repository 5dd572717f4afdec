import type { DataSource, ObjectLiteral, QueryRunner, Repository } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';

/** How a database answers what it has written. */
export type Dialect = 'postgres' | 'mariadb' | 'mysql' | 'sqlite';

const DIALECTS: Readonly<Partial<Record<DataSource['options']['type'], Dialect>>> = {
  postgres: 'postgres',
  mariadb: 'mariadb',
  mysql: 'mysql',
  'better-sqlite3': 'sqlite',
};

export function dialectOf(tool: string, dataSource: DataSource): Dialect {
  const { type } = dataSource.options;
  const dialect = DIALECTS[type];
  if (dialect !== undefined) return dialect;
  throw new InvalidOptionsError(
    `${tool}: the DataSource is of type '${type}'. Supported is ${Object.keys(DIALECTS)
      .map((one) => `'${one}'`)
      .join(', ')}.`,
  );
}

/** TypeORM 0.3 knows its DataSource as `connection` alone. */
export function dataSourceOf<Entity extends ObjectLiteral>({ manager }: Repository<Entity>): DataSource {
  return (manager as { dataSource?: DataSource }).dataSource ?? manager.connection;
}

/**
 * One connection for all that `fn` does: that of the transaction which the repository is of, or else one of the pool. Never
 * that of a replica, which may not have the row yet.
 */
export async function withRunner<Entity extends ObjectLiteral, T>(
  repository: Repository<Entity>,
  fn: (runner: QueryRunner) => Promise<T>,
): Promise<T> {
  const own = repository.queryRunner ?? repository.manager.queryRunner;
  if (own !== undefined) return fn(own);
  const runner = dataSourceOf(repository).createQueryRunner('master');
  try {
    return await fn(runner);
  } finally {
    await runner.release();
  }
}

/** A statement, and the rows that its RETURNING answers. */
export async function rowsOf(
  runner: QueryRunner,
  sql: string,
  parameters: unknown[],
): Promise<readonly ObjectLiteral[]> {
  const { records } = (await runner.query(sql, parameters, true)) as unknown as { records?: ObjectLiteral[] };
  return records ?? [];
}

/** MySQL and MariaDB: another transaction holds what this one needs, and it was this one that had to go. */
export function isDeadlock(error: unknown): error is Error {
  return errnoOf(error) === 1213;
}

/** MySQL and MariaDB: a unique index has a row with these values. */
export function isDuplicate(error: unknown): error is Error {
  return errnoOf(error) === 1062;
}

function errnoOf(error: unknown): unknown {
  return (error as { driverError?: { errno?: unknown } } | undefined)?.driverError?.errno;
}
