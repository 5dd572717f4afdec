import type { DeepPartial, ObjectLiteral, QueryRunner, Repository } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import { dataSourceOf, dialectOf, withRunner } from './connection.js';
import { attemptInsert } from './insert-attempt.js';
import { presentRows } from './present-rows.js';
import { sameRow, uniqueColumnsNamed, uniqueColumnsOf, type UniqueColumns } from './unique-columns.js';

/** Options of `insertOnce()`. */
export interface InsertOnceOptions<Entity> {
  /**
   * The columns by which a row is the same as the one to be inserted. They must be the primary key, or those of one unique
   * constraint or index that the entity declares; a conflict with any other is the database's error.
   *
   * Name them whenever the entity has more than one: without them a row that is equal in any of these answers.
   *
   * @default any of them
   */
  readonly conflict?: readonly (keyof Entity & string)[];
}

/** What `insertOnce()` came to. */
export interface Inserted<Entity> {
  /** The row as it is in the database, with generated values and defaults. */
  readonly entity: Entity;
  /** `false`: it was there before, and this is how it is there; nothing of what was given was written. */
  readonly inserted: boolean;
}

/** A row that is there for the insert and gone for the look was deleted in between: then it can be inserted after all. */
const ATTEMPTS = 5;

/**
 * Inserts a row, or answers the one that is there already: of any number that insert the same at the same moment one does,
 * and all get that row. One statement, and a second one for those who come later; a conflict does not end the
 * transaction around it, which it joins when the repository is of one.
 *
 * The row that was there may be of another content: compare what matters, or it is answered for a request that asked for
 * something else. A row that is deleted softly is there as well.
 *
 * @throws InvalidOptionsError when `conflict` names no unique columns, or more than one row is the same
 * @throws QueryFailedError for what else the database refuses; 40001 when a transaction cannot see the row
 * (`REPEATABLE READ` and above on PostgreSQL): run that transaction again
 */
export async function insertOnce<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  entity: DeepPartial<Entity>,
  options: InsertOnceOptions<Entity> = {},
): Promise<Inserted<Entity>> {
  const { metadata } = repository;
  dialectOf('insertOnce', dataSourceOf(repository));
  const unique = options.conflict && uniqueColumnsNamed('insertOnce', metadata, options.conflict);
  const values = repository.create(entity);
  return withRunner(repository, async (runner) => {
    await runner.broadcaster.broadcast('BeforeInsert', metadata, values);
    let refusal: Error | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const attempted = await attemptInsert(repository, runner, values, unique);
      if (attempted.kind === 'inserted') {
        await runner.broadcaster.broadcast('AfterInsert', metadata, attempted.entity);
        return { entity: attempted.entity, inserted: true };
      }
      refusal = attempted.refusal;
      const present = await rowInTheWay(repository, runner, values, unique);
      if (present !== undefined) return { entity: present, inserted: false };
    }
    // Of another unique index than the one that was named.
    if (unique !== undefined && refusal !== undefined) throw refusal;
    throw new InvalidOptionsError(
      `insertOnce: the database has refused a ${metadata.name} ${ATTEMPTS} times because there is one with the same values, and none is found by what the entity declares unique. ` +
        'Declare the unique index that is in the way, and give the values of its columns; or somebody inserts and deletes that row again and again.',
      { cause: refusal },
    );
  });
}

/** Undefined when it is gone by now. */
async function rowInTheWay<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  runner: QueryRunner,
  values: Entity,
  unique: UniqueColumns | undefined,
): Promise<Entity | undefined> {
  const candidates = unique === undefined ? uniqueColumnsOf(repository.metadata) : [unique];
  const where = candidates.flatMap((one) => sameRow(one, values) ?? []);
  if (where.length === 0) return undefined;
  const [present, another] = await presentRows('insertOnce', repository, runner, where);
  if (another === undefined) return present;
  throw new InvalidOptionsError(
    `insertOnce: more than one ${repository.metadata.name} has the same values, each in another of its unique indices, so none of them is the one that is there already. Name the columns that decide: \`conflict: [...]\`.`,
  );
}
