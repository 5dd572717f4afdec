import type {
  FindOptionsWhere,
  ObjectLiteral,
  QueryDeepPartialEntity,
  QueryRunner,
  Repository,
} from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import { VersionConflictError, VersionMissingError } from '../../core/refusals.js';
import { dataSourceOf, dialectOf, rowsOf, withRunner } from './connection.js';
import { hydrate } from './hydrate.js';
import { presentRows } from './present-rows.js';
import { checkVersioned, type VersionedRow } from './versioned-row.js';

/** A row that was of the version and is not, and is again when one looks, was deleted and inserted anew in between. */
const ATTEMPTS = 3;

/**
 * Changes a row if nobody has changed it since: one statement compares the entity's `@VersionColumn()` and raises it. Joins
 * the transaction that the repository is of.
 *
 * @param criteria which row: the primary key or the columns of a unique index, and what else must hold of it, such as whose
 * it is. A row that does not meet all of them counts as not there, and nothing is said about it
 * @param expectedVersion the version that the change is made for; `'any'` for whatever is there
 * @returns the row as this change has made it; undefined when there is none
 * @throws VersionConflictError (`version-conflict`, 412) when its version is another one
 * @throws VersionMissingError (`version-missing`, 428) when `expectedVersion` is undefined; nothing is looked at then
 */
export async function updateVersioned<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  criteria: FindOptionsWhere<Entity>,
  expectedVersion: number | 'any' | undefined,
  changes: QueryDeepPartialEntity<Entity>,
): Promise<Entity | undefined> {
  const dialect = dialectOf('updateVersioned', dataSourceOf(repository));
  const row = checkVersioned(repository.metadata, criteria, changes);
  if (expectedVersion === undefined) throw new VersionMissingError();
  if (expectedVersion !== 'any' && !Number.isSafeInteger(expectedVersion)) {
    throw new InvalidOptionsError(
      `updateVersioned: the expected version is ${String(expectedVersion)}. Give the number that the row was read with, or 'any'.`,
    );
  }
  return withRunner(repository, (runner) => {
    const update = () => attempt(repository, runner, row, expectedVersion, changes);
    // No RETURNING there: the row is read again before anybody else can change it.
    const answersNoRow = dialect === 'mariadb' || dialect === 'mysql';
    return answersNoRow && !runner.isTransactionActive ? inTransaction(runner, update) : update();
  });
}

async function attempt<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  runner: QueryRunner,
  row: VersionedRow,
  expectedVersion: number | 'any',
  changes: QueryDeepPartialEntity<Entity>,
): Promise<Entity | undefined> {
  let presentVersion = 0;
  for (let tried = 0; tried < ATTEMPTS; tried += 1) {
    const updated = await update(repository, runner, row, expectedVersion, changes);
    if (updated !== undefined) return updated;
    const [present] = await presentRows('updateVersioned', repository, runner, row.criteria);
    if (present === undefined) return undefined;
    presentVersion = row.versionColumn.getEntityValue(present) as number;
    if (expectedVersion !== 'any' && presentVersion !== expectedVersion) break;
  }
  throw new VersionConflictError(expectedVersion, presentVersion);
}

async function update<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  runner: QueryRunner,
  { criteria, key, versionColumn }: VersionedRow,
  expectedVersion: number | 'any',
  changes: QueryDeepPartialEntity<Entity>,
): Promise<Entity | undefined> {
  const { metadata } = repository;
  await runner.broadcaster.broadcast('BeforeUpdate', metadata);
  const statement = repository.createQueryBuilder(undefined, runner).update().set(changes).where(criteria);
  if (expectedVersion !== 'any') statement.andWhere(versionColumn.createValueMap(expectedVersion));
  const [sql, parameters] = statement.getQueryAndParameters() as [string, unknown[]];
  const dialect = dialectOf('updateVersioned', dataSourceOf(repository));
  let updated: Entity | undefined;
  if (dialect === 'mariadb' || dialect === 'mysql') {
    const { affected } = (await runner.query(sql, parameters, true)) as unknown as { affected?: number };
    if (affected !== 0) [updated] = await presentRows('updateVersioned', repository, runner, key);
  } else {
    const [raw] = await rowsOf(runner, `${sql} RETURNING *`, parameters);
    updated = raw && (await hydrate(repository, runner, raw));
  }
  if (updated !== undefined) await runner.broadcaster.broadcast('AfterUpdate', metadata);
  return updated;
}

async function inTransaction<T>(runner: QueryRunner, fn: () => Promise<T>): Promise<T> {
  await runner.startTransaction();
  try {
    const value = await fn();
    await runner.commitTransaction();
    return value;
  } catch (error) {
    // What went wrong first is what counts.
    await runner.rollbackTransaction().catch(() => {});
    throw error;
  }
}
