import { realpathSync } from 'node:fs';
import { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import type { StorageHost } from '../../core/idempotency-storage.js';
import { SqliteIdempotencyRecord } from './record.entity.js';

const WHY =
  'SQLite lets one transaction write at a time: a request of the application that writes would hold up every claim, renewal and ' +
  'completion, and what shares its connection would vanish with its rollback.';
const MEND =
  "Give the records a file of their own, for example `new DataSource({ type: 'better-sqlite3', database: 'idempotency.db', " +
  'migrations: [CreateIdempotencyRecords1795305600000], migrationsRun: true })`, and hand it over as `dataSource`.';

/**
 * What can be said before the file is opened.
 *
 * @throws InvalidOptionsError when the DataSource is not for the records alone
 */
export function checkOwnDataSource(dataSource: DataSource, host: StorageHost | undefined): void {
  const { database, readonly } = dataSource.options as { database: string; readonly?: boolean };
  if (database === '' || database === ':memory:') {
    throw new InvalidOptionsError(
      `typeOrmStorage: the DataSource keeps its database in memory (\`database: '${database}'\`), where every connection has one of its own. ` +
        'For records in the memory of this process use memoryStorage(), or else give the database a file.',
    );
  }
  if (readonly === true) {
    throw new InvalidOptionsError(
      'typeOrmStorage: the DataSource is `readonly`, and records are written. Leave that option out.',
    );
  }
  const applications = host?.find(DataSource);
  if (applications === dataSource)
    throw shared("the DataSource of type 'better-sqlite3' is the application's own");
  if (applications !== undefined && isSameFile(applications, database)) {
    throw shared(`the application's DataSource uses the same file (${database})`);
  }
  const foreign = dataSource.entityMetadatas.filter(({ target }) => target !== SqliteIdempotencyRecord);
  if (foreign.length > 0) {
    throw shared(
      `the DataSource has entities of the application (${listOf(foreign.map(({ name }) => name))})`,
    );
  }
}

/** @throws InvalidOptionsError when the file holds tables of somebody else, whoever opened it */
export function checkOwnTables(file: string, foreign: readonly string[]): void {
  if (foreign.length > 0) throw shared(`the file ${file} has tables of the application (${listOf(foreign)})`);
}

function shared(what: string): InvalidOptionsError {
  return new InvalidOptionsError(`typeOrmStorage: ${what}. ${WHY} ${MEND}`);
}

function listOf(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => `\`${name}\``);
  return [...shown, ...(names.length > shown.length ? ['…'] : [])].join(', ');
}

function isSameFile({ options }: DataSource, file: string): boolean {
  const { type, database } = options;
  if (!['better-sqlite3', 'sqlite'].includes(type) || typeof database !== 'string') return false;
  try {
    return realpathSync(database) === realpathSync(file);
  } catch {
    return database === file; // one of them is not there yet
  }
}
