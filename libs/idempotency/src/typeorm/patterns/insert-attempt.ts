import type { InsertQueryBuilder, ObjectLiteral, QueryRunner, Repository } from 'typeorm';
import { dataSourceOf, dialectOf, isDeadlock, isDuplicate, rowsOf } from './connection.js';
import { hydrate } from './hydrate.js';
import { presentRows } from './present-rows.js';
import { sameRow, uniqueColumnsOf, type UniqueColumns } from './unique-columns.js';

export type InsertAttempt<Entity> =
  | { readonly kind: 'inserted'; readonly entity: Entity }
  /** A row with the same values is there, or was a moment ago. `refusal`: how the database has said it. */
  | { readonly kind: 'conflict'; readonly refusal?: Error };

/**
 * One statement that inserts, or is in conflict without ending the transaction around it.
 *
 * @param unique which conflict; any without it
 */
export async function attemptInsert<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  runner: QueryRunner,
  values: Entity,
  unique: UniqueColumns | undefined,
): Promise<InsertAttempt<Entity>> {
  // A builder for each attempt: it makes ids where the database does not.
  const builder = repository.createQueryBuilder(undefined, runner).insert().values(values);
  try {
    return await insert(repository, runner, values, builder, unique);
  } catch (error) {
    // Not `INSERT IGNORE`, which lets pass what is too long or refers to nothing; and not `ON DUPLICATE KEY UPDATE`, which
    // calls the triggers of an update. This ends the statement alone, not its transaction.
    if (isDuplicate(error)) return { kind: 'conflict', refusal: error };
    // Two have waited for an insert that was rolled back: the other one may insert now.
    if (isDeadlock(error) && !runner.isTransactionActive) return { kind: 'conflict', refusal: error };
    throw error;
  }
}

async function insert<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  runner: QueryRunner,
  values: Entity,
  builder: InsertQueryBuilder<Entity>,
  unique: UniqueColumns | undefined,
): Promise<InsertAttempt<Entity>> {
  const dataSource = dataSourceOf(repository);
  const dialect = dialectOf('insertOnce', dataSource);
  const [sql, parameters] = builder.getQueryAndParameters() as [string, unknown[]];
  if (dialect === 'mysql') {
    const { raw } = (await runner.query(sql, parameters, true)) as unknown as { raw: ObjectLiteral };
    return { kind: 'inserted', entity: await insertedOnMySql(repository, runner, values, builder, raw) };
  }
  const onConflict = dialect === 'mariadb' ? '' : doNothing(unique, (name) => dataSource.driver.escape(name));
  const [row] = await rowsOf(runner, `${sql}${onConflict} RETURNING *`, parameters);
  if (row === undefined) return { kind: 'conflict' };
  return { kind: 'inserted', entity: await hydrate(repository, runner, row) };
}

function doNothing(unique: UniqueColumns | undefined, quote: (name: string) => string): string {
  if (unique === undefined) return ' ON CONFLICT DO NOTHING';
  const columns = unique.columns.map(({ databaseName }) => quote(databaseName)).join(', ');
  const where = unique.where === undefined ? '' : ` WHERE ${unique.where}`;
  return ` ON CONFLICT (${columns})${where} DO NOTHING`;
}

/** MySQL answers no row, so it is read by its primary key, part of which may have been made on the way. */
async function insertedOnMySql<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  runner: QueryRunner,
  values: Entity,
  builder: InsertQueryBuilder<Entity>,
  raw: ObjectLiteral,
): Promise<Entity> {
  const { metadata } = repository;
  const made = builder.expressionMap.locallyGenerated[0] ?? {};
  const generated = dataSourceOf(repository).driver.createGeneratedMap(metadata, raw, 0, 1) ?? {};
  const written = repository.merge(repository.create(), values, made as never, generated as never);
  const [primary] = uniqueColumnsOf(metadata);
  const where = primary && sameRow(primary, written);
  const [entity] = where ? await presentRows('insertOnce', repository, runner, where) : [];
  if (entity !== undefined) return entity;
  throw new Error(
    `insertOnce: the ${metadata.name} was inserted, and somebody has deleted it before it could be read again.`,
  );
}
