import { DataSource } from 'typeorm';
import { StorageUnavailableError } from '../../core/errors.js';
import type { Row } from '../rows.js';
import { unavailable } from '../unavailable.js';
import { CONNECT_TIMEOUT_MS, controlOptions, type MariaDbOptions } from './control-options.js';
import { serverOf, STATEMENT_TIMEOUT_MS, type Server } from './session-settings.js';

type Callback = (error: Error | null, answer?: unknown) => void;

/** What we call of a connection of `mysql2` from the pool that TypeORM's driver has opened. */
interface PoolConnection {
  query(query: { sql: string; values: unknown[] }, callback: Callback): unknown;
  execute?(query: { sql: string; values: unknown[] }, callback: Callback): unknown;
  once(event: 'end' | 'error', listener: () => void): unknown;
  release(): void;
  destroy(): void;
  readonly stream?: { destroy(): void };
}

/** What we call of TypeORM's driver: unlike a query runner it lets a broken connection be thrown away. */
interface PoolDriver {
  readonly pool: {
    getConnection(callback: (error: Error | null, connection?: PoolConnection) => void): void;
  };
}

export interface Answer {
  readonly rows: readonly Row[];
  /** Rows that a change has matched. */
  readonly affected: number;
}

export interface Statement {
  readonly name: string;
  readonly sql: string;
}

export interface ControlSettings {
  readonly size: number;
  readonly preparedStatements: boolean;
}

/** A server that has not even said so by now is not there: the connection is thrown away. */
const ANSWER_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 1000;
const RETRIES = 5;
/** Bytes travel as text, where a statement is not prepared. */
const HEX_DIGITS = 2;
/** For the other values of a statement, and what a packet has around them. */
const OVERHEAD_BYTES = 1024;
/** Deadlock; a row that has changed since it was read, where the server is told to mind (`innodb_snapshot_isolation`). */
const UNDONE: readonly unknown[] = [1213, 1020];
export const DUPLICATE = 1062;
const LOCK_WAIT_TIMEOUT = 1205;
/** Well below what a session waits for a lock (session-settings.ts). */
const SHORTEST_WAIT_MS = 500;
/** After these a connection is as good as before; after others nobody knows. */
const HARMLESS: readonly unknown[] = [...UNDONE, DUPLICATE, LOCK_WAIT_TIMEOUT];

/**
 * The storage's own few connections, opened like those of the application's DataSource. A handler may hold every
 * connection of the application; it holds none of these, so leases are still renewed.
 */
export class ControlConnections {
  /** Those that have been told our settings and are still good. */
  private readonly settled = new Set<PoolConnection>();
  private readonly running = new Set<Promise<unknown>>();

  private constructor(
    private readonly dataSource: DataSource,
    private readonly settings: ControlSettings,
    readonly server: Server,
    private readonly maxPacketBytes: number,
  ) {}

  /** @throws InvalidOptionsError when the server is too old */
  static async open(options: MariaDbOptions, settings: ControlSettings): Promise<ControlConnections> {
    let dataSource: DataSource;
    let about: { version: string; packet: string };
    try {
      dataSource = await new DataSource(controlOptions(options, settings.size)).initialize();
      [about] = await dataSource.query<[typeof about]>(
        'select version() as version, @@max_allowed_packet as packet',
      );
    } catch (error) {
      throw unavailable('the database', 'the connection', error);
    }
    try {
      return new ControlConnections(dataSource, settings, serverOf(about.version), Number(about.packet));
    } catch (error) {
      await dataSource.destroy();
      throw error;
    }
  }

  /** Rejects with StorageUnavailableError alone. */
  async query(statement: Statement, values: unknown[]): Promise<Answer> {
    this.refuseWhatDoesNotFit(statement, values);
    for (let retries = 0; ; retries += 1) {
      const start = performance.now();
      try {
        return await this.queryOnce(statement, values);
      } catch (error) {
        const ms = performance.now() - start;
        // Nothing has happened: the server has undone the statement.
        if (isUndone(error, ms) && retries < RETRIES) continue;
        throw unavailable(this.server.name, `\`${statement.name}\``, error);
      }
    }
  }

  async close(): Promise<void> {
    // No question outlasts its own time limit.
    await Promise.allSettled(this.running);
    await this.dataSource.destroy();
    // The server has been told goodbye. One that stands still would keep the sockets open, and by them this process.
    for (const connection of this.settled) cutOff(connection);
  }

  /** Sent all the same, it would break the connection, and often without an answer that says why. */
  private refuseWhatDoesNotFit({ name, sql }: Statement, values: unknown[]): void {
    const perByte = this.settings.preparedStatements ? 1 : HEX_DIGITS;
    const needed = values.reduce((sum: number, value) => {
      if (Buffer.isBuffer(value)) return sum + value.length * perByte;
      return typeof value === 'string' ? sum + value.length : sum;
    }, sql.length + OVERHEAD_BYTES);
    if (needed <= this.maxPacketBytes) return;
    throw new StorageUnavailableError(
      `typeOrmStorage: \`${name}\` is a packet of ${needed} bytes, and ${this.server.name} takes ${this.maxPacketBytes} at most. ` +
        'Raise `max_allowed_packet` of the server, or lower `maxResponseBytes`.',
    );
  }

  private async queryOnce({ sql }: Statement, values: unknown[]): Promise<Answer> {
    const answer = this.ask(sql, values);
    this.running.add(answer);
    try {
      return await answer;
    } finally {
      this.running.delete(answer);
    }
  }

  private async ask(sql: string, values: unknown[]): Promise<Answer> {
    const connection = await this.obtain();
    try {
      if (!this.settled.has(connection)) {
        await within(ANSWER_TIMEOUT_MS, (callback) => {
          connection.query({ sql: this.server.settings, values: [] }, callback);
        });
        this.settled.add(connection);
        const forget = () => this.settled.delete(connection);
        connection.once('end', forget);
        connection.once('error', forget);
      }
      const answer = await within(ANSWER_TIMEOUT_MS, (callback) => {
        if (this.settings.preparedStatements && connection.execute) {
          connection.execute({ sql, values: values.map(forExecute) }, callback);
        } else connection.query({ sql, values }, callback);
      });
      connection.release();
      return answerOf(answer);
    } catch (error) {
      if (HARMLESS.includes(numberOf(error))) connection.release();
      else {
        this.settled.delete(connection);
        cutOff(connection);
      }
      throw withoutText(error);
    }
  }

  private obtain(): Promise<PoolConnection> {
    const { pool } = this.dataSource.driver as unknown as PoolDriver;
    let late = false;
    const obtained = within(CONNECT_TIMEOUT_MS, (callback) => {
      pool.getConnection((error, connection) => {
        if (late) connection?.release();
        else callback(error, connection);
      });
    });
    return obtained.catch((error: unknown) => {
      late = true;
      throw error;
    }) as Promise<PoolConnection>;
  }
}

/** Its own `destroy` takes it out of the pool, and then waits for the server to close the socket. */
function cutOff(connection: PoolConnection): void {
  connection.destroy();
  connection.stream?.destroy();
}

function within(ms: number, call: (callback: Callback) => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
    timer.unref();
    call((error, answer) => {
      clearTimeout(timer);
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
}

/**
 * Where others insert and remove the same row, MariaDB 10.11 lets a lock wait timeout of a claim's UPDATE, which waits for
 * no lock, out of the block now and then, past the handler for it. What has waited for its second is not asked again.
 */
function isUndone(error: unknown, ms: number): boolean {
  const number = numberOf(error);
  return UNDONE.includes(number) || (number === LOCK_WAIT_TIMEOUT && ms < SHORTEST_WAIT_MS);
}

/** The driver adds the statement with all its values. A logger would write them out: a response, an owner token. */
function withoutText(error: unknown): unknown {
  if (typeof error === 'object' && error !== null && 'sql' in error) delete error.sql;
  return error;
}

/** A block is answered by the rows of its questions and a header for the whole; a change by a header alone. */
function answerOf(answer: unknown): Answer {
  if (!Array.isArray(answer)) {
    return {
      rows: [],
      affected: Number((answer as { affectedRows?: unknown } | undefined)?.affectedRows ?? 0),
    };
  }
  const rows: readonly unknown[] = Array.isArray(answer[0]) ? answer[0] : answer;
  return { rows: rows as readonly Row[], affected: 0 };
}

/** `mysql2` sends numbers as DOUBLE, which MySQL takes for no LIMIT. */
function forExecute(value: unknown): unknown {
  return typeof value === 'number' ? String(value) : value;
}

/** As the server numbers its errors. */
export function numberOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'errno' in error ? error.errno : undefined;
}
