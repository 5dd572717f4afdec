import { setTimeout as sleep } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { IdempotencyError, InvalidOptionsError, StorageUnavailableError } from '../../core/errors.js';
import type { Row } from '../rows.js';
import { clientOf, isBusy, type BetterSqlite3Options, type SqliteClient } from './sqlite-client.js';
import { WriteQueue } from './write-queue.js';

export interface Answer {
  readonly rows: readonly Row[];
  readonly changes: number;
}

/** Runs one statement, whose `$1` is the first of the values. */
export type Run = (sql: string, values: readonly unknown[]) => Answer;

/** What is waited for while the file is opened, as long as nothing else runs in this process anyway. */
const OPEN_WAIT_MS = 1000;

/** A reader waits for nobody but a process that opens, closes or recovers the file. */
const READ_PAUSES_MS = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256];

/** The storage's own connection to the file, opened like the application's. */
export class SqliteConnection {
  private readonly client: SqliteClient;
  private readonly queue: WriteQueue;
  private readonly statements = new Map<string, ReturnType<SqliteClient['prepare']>>();

  private constructor(private readonly dataSource: DataSource) {
    const client = clientOf(dataSource);
    const control = (sql: string) => {
      const statement = client.prepare(sql);
      return () => void statement.run({});
    };
    this.client = client;
    this.queue = new WriteQueue({
      begin: control('begin immediate'),
      commit: control('commit'),
      rollback: control('rollback'),
      isOpen: () => client.inTransaction,
      isBusy,
    });
  }

  /**
   * @param check looks at the file before anything in it is changed
   * @throws InvalidOptionsError what `check` throws, or that the file can have no write-ahead log
   */
  static async open(options: BetterSqlite3Options, check: (run: Run) => void): Promise<SqliteConnection> {
    let connection: SqliteConnection | undefined;
    try {
      connection = new SqliteConnection(await openOwn(options));
      check(connection.run);
      connection.prepareFile();
      return connection;
    } catch (error) {
      await connection?.close();
      throw unavailable(error);
    }
  }

  /** Sees everything that was committed before. Rejects with StorageUnavailableError alone. */
  async read<T>(work: (run: Run) => T): Promise<T> {
    let busy: unknown;
    for (const pause of READ_PAUSES_MS) {
      if (pause > 0) await sleep(pause);
      try {
        return work(this.run);
      } catch (error) {
        if (!isBusy(error)) throw unavailable(error);
        busy = error;
      }
    }
    throw unavailable(busy);
  }

  /** In a transaction that has the write lock from its start. Rejects with StorageUnavailableError alone. */
  async write<T>(work: (run: Run) => T): Promise<T> {
    try {
      return await this.queue.add(() => work(this.run));
    } catch (error) {
      throw unavailable(error);
    }
  }

  async close(): Promise<void> {
    await this.queue.idle();
    await this.dataSource.destroy();
  }

  private prepareFile(): void {
    const { client } = this;
    const mode = client.pragma('journal_mode = wal', { simple: true });
    if (mode !== 'wal') {
      throw new InvalidOptionsError(
        `typeOrmStorage: ${String(this.dataSource.options.database)} cannot have a write-ahead log (its journal mode stays '${String(mode)}'), ` +
          'as on file systems of a network. Put the file on a local disk.',
      );
    }
    // What better-sqlite3 starts with, NORMAL, may lose the last commits when the power fails.
    client.pragma('synchronous = full', { simple: true });
    // From here on nobody waits inside of SQLite, which would hold up the whole process.
    client.pragma('busy_timeout = 0', { simple: true });
  }

  private readonly run: Run = (sql, values) => {
    const statement = this.statements.get(sql) ?? this.client.prepare(sql);
    this.statements.set(sql, statement);
    const named = Object.fromEntries(values.map((value, index) => [index + 1, bindable(value)]));
    if (!statement.reader) return { rows: [], changes: statement.run(named).changes };
    const rows = statement.all(named);
    return { rows, changes: rows.length };
  };
}

/** Nothing of the application's options but its way to the file: no entities, no migrations, no log with ids in it. */
async function openOwn(options: BetterSqlite3Options): Promise<DataSource> {
  const { database, key, nativeBinding, prepareDatabase } = options;
  return new DataSource({
    type: 'better-sqlite3',
    ...{ database, key, nativeBinding, prepareDatabase },
    driver: options.driver as unknown,
    fileMustExist: true,
    timeout: OPEN_WAIT_MS,
    logging: false,
  }).initialize();
}

function bindable(value: unknown): unknown {
  return typeof value === 'boolean' ? Number(value) : value;
}

function unavailable(cause: unknown): IdempotencyError {
  if (cause instanceof IdempotencyError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const more = isBusy(cause)
    ? ' Another process, or a transaction of this one, has it locked and does not end.'
    : '';
  return new StorageUnavailableError(
    `typeOrmStorage: the SQLite file cannot be used now: ${reason}.${more}`,
    {
      cause,
    },
  );
}
