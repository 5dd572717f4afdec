import type { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import type { Database, OpenSettings, RecordTable } from '../database.js';
import { quoteTable, type TableName } from '../table-name.js';
import { createTable } from './create-table.js';
import { checkOwnDataSource } from './own-file.js';
import { SqliteIdempotencyRecord } from './record.entity.js';
import type { BetterSqlite3Options } from './sqlite-client.js';
import { SqliteConnection } from './sqlite-connection.js';
import { SqliteRecords } from './sqlite-records.js';
import * as statements from './statements.js';
import { checkTable } from './table-check.js';

export const sqlite: Database = {
  types: ['better-sqlite3'],
  entity: SqliteIdempotencyRecord,
  createTable,
  dropTable: (table) => [`drop table if exists ${quoteTable(table)}`],
  open,
};

async function open(
  dataSource: DataSource,
  table: TableName,
  { host, preparedStatements }: OpenSettings,
): Promise<RecordTable> {
  checkOwnDataSource(dataSource, host);
  if (preparedStatements) {
    throw new InvalidOptionsError(
      'typeOrmStorage: `preparedStatements` has no meaning on SQLite, where statements are always prepared. Leave it out.',
    );
  }
  const migrations = dataSource.options.migrationsTableName ?? 'migrations';
  const connection = await SqliteConnection.open(dataSource.options as BetterSqlite3Options, (run) =>
    checkTable(run, table, migrations),
  );
  return new SqliteRecords(connection, statements, table);
}
