import { InvalidOptionsError } from '../../core/errors.js';
import { DEFAULT_TABLE, type TableName } from '../table-name.js';
import { checkOwnTables } from './own-file.js';
import type { Run } from './sqlite-connection.js';

const COLUMNS = [
  'id text',
  'state integer',
  'attempt integer',
  'previous integer',
  'owner text',
  'owner_found text',
  'fingerprint text',
  'created_at integer',
  'lease_until integer',
  'expires_at integer',
  'steps_found integer',
  'steps blob',
  'result blob',
];

/** `unixepoch('subsec')` came with it. */
const OLDEST = [3, 42];

const VERSION = 'select sqlite_version() as version';
const FILE = `select file from pragma_database_list where name = 'main'`;
/** $1 the table's name, here and below. */
const COLUMNS_FOUND = `select name || ' ' || lower(type) as column from pragma_table_info($1)`;
/** The index of a primary key compares as its column does. */
const UNIQUE_ID = `
select 1 from pragma_index_list($1) l
where l."unique" = 1 and l.partial = 0
  and (select group_concat(c.name || ' ' || c.coll) from pragma_index_xinfo(l.name) c where c.key = 1) = 'id BINARY'`;
/** Tables that are neither SQLite's, nor TypeORM's, nor of records. $1 TypeORM's table of migrations */
const FOREIGN_TABLES = `
select m.name from sqlite_master m
where m.type = 'table' and substr(m.name, 1, 7) <> 'sqlite_' and m.name not in ($1, 'typeorm_metadata')
  and not exists (select 1 from pragma_table_info(m.name) c where c.name = 'owner_found')
order by m.name`;

/** @throws InvalidOptionsError with what is wrong and the mend */
export function checkTable(run: Run, { schema, name }: TableName, migrationsTable: string): void {
  const one = (sql: string, column: string) => String(run(sql, []).rows[0]?.[column]);
  checkVersion(one(VERSION, 'version'));
  const file = one(FILE, 'file');
  if (schema !== undefined) {
    throw new InvalidOptionsError(
      `typeOrmStorage: \`table\` is '${schema}.${name}', and SQLite has no schemas. Leave '${schema}.' out.`,
    );
  }
  checkOwnTables(
    file,
    run(FOREIGN_TABLES, [migrationsTable]).rows.map((row) => String(row['name'])),
  );
  checkColumns(run, name, file);
}

function checkVersion(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  throw new InvalidOptionsError(
    `typeOrmStorage: SQLite ${version} is too old, it needs ${OLDEST.join('.')} or later. Update the package better-sqlite3.`,
  );
}

function checkColumns(run: Run, name: string, file: string): void {
  const mend =
    name === DEFAULT_TABLE
      ? 'Add the migration `CreateIdempotencyRecords1795305600000` from `nestjs-idempotent/typeorm` to the DataSource and run it, ' +
        'or its entity `SqliteIdempotencyRecord` where the schema is synchronized.'
      : `Add the migration \`createIdempotencyRecords('${name}')\` from \`nestjs-idempotent/typeorm\` to the DataSource and run it.`;
  const columns = run(COLUMNS_FOUND, [name]).rows.map((row) => String(row['column']));
  if (columns.length === 0) {
    throw new InvalidOptionsError(`typeOrmStorage: there is no table \`${name}\` in ${file}. ${mend}`);
  }
  const missing = COLUMNS.filter((column) => !columns.includes(column));
  if (missing.length > 0) {
    throw new InvalidOptionsError(
      `typeOrmStorage: the table \`${name}\` is not the one that the storage needs; it lacks ${missing.map((column) => `\`${column}\``).join(', ')}. ${mend}`,
    );
  }
  if (run(UNIQUE_ID, [name]).rows.length === 0) {
    throw new InvalidOptionsError(
      `typeOrmStorage: nothing makes \`id\` unique, byte for byte, in the table \`${name}\`, so one key could run twice. Make it the primary key, without a collation.`,
    );
  }
}
