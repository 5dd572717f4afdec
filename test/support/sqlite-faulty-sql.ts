import type { DataSource } from 'typeorm';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { Session } from '../../libs/idempotency/src/typeorm/session.js';
import type { BetterSqlite3Options } from '../../libs/idempotency/src/typeorm/sqlite/sqlite-client.js';
import { SqliteConnection } from '../../libs/idempotency/src/typeorm/sqlite/sqlite-connection.js';
import {
  SqliteRecords,
  type StatementName,
  type Statements,
} from '../../libs/idempotency/src/typeorm/sqlite/sqlite-records.js';
import * as sound from '../../libs/idempotency/src/typeorm/sqlite/statements.js';
import { TypeOrmStorage } from '../../libs/idempotency/src/typeorm/typeorm-storage.js';

/** How SQL comes to the file. */
export type Connection = ConstructorParameters<typeof SqliteRecords>[0];

export function openConnection(dataSource: DataSource): Promise<SqliteConnection> {
  return SqliteConnection.open(dataSource.options as BetterSqlite3Options, () => undefined);
}

/** The storage with other SQL: `change` gets each statement and gives what is asked instead. */
export async function storageWithSql(
  connection: Connection,
  change: (name: StatementName, sql: string) => string = (_, sql) => sql,
): Promise<IdempotencyStorage> {
  const names = Object.keys(sound) as StatementName[];
  const statements = Object.fromEntries(
    names.map((name) => [name, (table: string) => change(name, sound[name](table))]),
  ) as unknown as Statements;
  const records = new SqliteRecords(connection, statements, {
    schema: undefined,
    name: 'idempotency_records',
  });
  const session = new Session({ records, purgeEveryMs: undefined, warn: () => undefined });
  const storage = new TypeOrmStorage(() => Promise.resolve(session));
  await storage.start();
  return storage;
}
