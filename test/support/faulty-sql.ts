import type { DataSource } from 'typeorm';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import type {
  QueryAnswer,
  Statement,
} from '../../libs/idempotency/src/typeorm/postgres/control-connections.js';
import {
  PostgresRecords,
  type Statements,
} from '../../libs/idempotency/src/typeorm/postgres/postgres-records.js';
import * as sound from '../../libs/idempotency/src/typeorm/postgres/statements.js';
import { Session } from '../../libs/idempotency/src/typeorm/session.js';
import { TypeOrmStorage } from '../../libs/idempotency/src/typeorm/typeorm-storage.js';

type Connections = ConstructorParameters<typeof PostgresRecords>[0];

/** The storage with other SQL: `change` gets each statement and gives what is asked instead. */
export async function storageWithSql(
  connections: Connections,
  change: (name: keyof Statements, sql: string) => string = (_, sql) => sql,
): Promise<IdempotencyStorage> {
  const names = Object.keys(sound).filter((name): name is keyof Statements => name !== 'inspect');
  const statements = Object.fromEntries(
    names.map((name) => [name, (table: string) => change(name, sound[name](table))]),
  ) as unknown as Statements;
  const table = { schema: undefined, name: 'idempotency_records' };
  const records = new PostgresRecords(connections, statements, table);
  const session = new Session({ records, purgeEveryMs: undefined, warn: () => undefined });
  const storage = new TypeOrmStorage(() => Promise.resolve(session));
  await storage.start();
  return storage;
}

/** Each statement by itself, over the DataSource's pool. */
export function plainConnections(dataSource: DataSource): Connections {
  return {
    async query({ sql }: Statement, values: unknown[]): Promise<QueryAnswer> {
      const runner = dataSource.createQueryRunner();
      try {
        const { records, affected } = await runner.query(sql, values, true);
        return { rows: records as Record<string, unknown>[], rowCount: affected ?? null };
      } finally {
        await runner.release();
      }
    },
    close: async () => undefined,
  };
}

/**
 * Statements that find a transaction open already, as one of a request that has run for a while: it began right after
 * the statement before, and is committed right after this one.
 */
export async function connectionsInTransactions(dataSource: DataSource): Promise<Connections> {
  const runner = dataSource.createQueryRunner();
  await runner.startTransaction();
  let last: Promise<unknown> = Promise.resolve();
  const next = async ({ sql }: Statement, values: unknown[]): Promise<QueryAnswer> => {
    const { records, affected } = await runner.query(sql, values, true);
    await runner.commitTransaction();
    await runner.startTransaction();
    return { rows: records as Record<string, unknown>[], rowCount: affected ?? null };
  };
  return {
    query(statement: Statement, values: unknown[]): Promise<QueryAnswer> {
      const answer = last.then(() => next(statement, values));
      last = answer.catch(() => undefined);
      return answer;
    },
    async close() {
      await last;
      await runner.rollbackTransaction();
      await runner.release();
    },
  };
}
