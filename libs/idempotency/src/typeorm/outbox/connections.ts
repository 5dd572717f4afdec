import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource, QueryRunner } from 'typeorm';
import { IdempotencyError, StorageUnavailableError } from '../../core/errors.js';
import type { Row } from '../rows.js';
import { chain } from '../transaction/errors.js';
import { outsideTransaction } from '../transaction/scope.js';
import { messageOf } from '../unavailable.js';

export interface Answer {
  readonly rows: readonly Row[];
  readonly affected: number;
}

/** Asks one question on a connection. @throws what TypeORM says */
export type Ask = (sql: string, values?: readonly unknown[]) => Promise<Answer>;

/**
 * The server has refused for the sake of others, and has undone what it had begun: a serialization failure (where the
 * application's sessions are stricter than READ COMMITTED), a deadlock, a row that has changed since it was read.
 */
const CONFLICTS: readonly unknown[] = ['40001', '40P01', 1213, 1020];
const ATTEMPTS = 8;
const LONGEST_PAUSE_MS = 40;

/** Connections of the application's pool, one for each question, never that of a handler's transaction. */
export class OutboxConnections {
  constructor(
    private readonly dataSource: DataSource,
    /** As people call it. */
    private readonly server: string,
  ) {}

  /**
   * Works on one connection, and again when the server undoes it because of others.
   *
   * @throws StorageUnavailableError
   */
  async use<T>(what: string, work: (ask: Ask) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await outsideTransaction(() => this.useOnce(work));
      } catch (error) {
        if (error instanceof IdempotencyError) throw error;
        if (attempt === ATTEMPTS || !isConflict(error)) throw this.unavailable(what, error);
        await sleep(Math.random() * Math.min(LONGEST_PAUSE_MS, 2 ** attempt));
      }
    }
  }

  private async useOnce<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    const runner = this.dataSource.createQueryRunner('master');
    try {
      return await work((sql, values = []) => askOf(runner, sql, values));
    } finally {
      await runner.release();
    }
  }

  private unavailable(what: string, error: unknown): StorageUnavailableError {
    const sentence = `The outbox cannot ${what}: ${this.server} said: ${messageOf(error)}`;
    return new StorageUnavailableError(sentence, { cause: withoutText(error) });
  }
}

async function askOf(runner: QueryRunner, sql: string, values: readonly unknown[]): Promise<Answer> {
  const answer = (await runner.query(sql.trim(), [...values], true)) as unknown as {
    records?: readonly Row[];
    affected?: number;
  };
  return { rows: answer.records ?? [], affected: answer.affected ?? 0 };
}

/** What is between is done as a whole, or not at all. @param begin statements that open the transaction */
export async function inTransaction<T>(
  ask: Ask,
  begin: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  for (const sql of begin) await ask(sql);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    // A connection that cannot even roll back is broken, and its pool finds that out by itself.
    await ask('rollback').catch(() => undefined);
    throw error;
  }
  await ask('commit');
  return result;
}

function isConflict(error: unknown): boolean {
  for (const { code, errno } of chain(error))
    if (CONFLICTS.includes(code) || CONFLICTS.includes(errno)) return true;
  return false;
}

/** TypeORM adds the statement with all its values, and so do some drivers; a logger would write them out. */
function withoutText(error: unknown): unknown {
  const { driverError = error } = (error ?? {}) as { driverError?: unknown };
  if (typeof driverError === 'object' && driverError !== null && 'sql' in driverError) delete driverError.sql;
  return driverError;
}
