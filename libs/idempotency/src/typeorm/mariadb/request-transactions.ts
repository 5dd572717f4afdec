import type { QueryRunner } from 'typeorm';
import type {
  Answer,
  Gate,
  Question,
  RequestConnection,
  TransactionDialect,
} from '../transaction/dialect.js';
import { numberOf } from './control-connections.js';
import { tellHere } from '../transaction/tell-here.js';
import { quoteTable } from './quoting.js';
import { completeInside } from './statements.js';

type Callback = (error: unknown, answer?: unknown, fields?: unknown) => void;

/** What we call of a connection of `mysql2` that a query runner hands out. */
interface PoolConnection {
  query(query: { sql: string; values: unknown[] }, callback: Callback): unknown;
  destroy(): void;
  readonly stream?: { destroy(): void };
}

interface Reading {
  on(event: 'error', listener: () => void): unknown;
  destroy(reason: Error): unknown;
}

type Send = (this: unknown, ...args: unknown[]) => unknown;

/** Deadlock; a row that has changed since it was read, where the server is told to mind (`innodb_snapshot_isolation`). */
const CONFLICTS: readonly unknown[] = [1213, 1020];
const CONFLICT_NAMES: readonly unknown[] = ['ER_LOCK_DEADLOCK', 'ER_CHECKREAD'];
const NO_SAVEPOINT = 1305;
/** What the server says with every change: whether a transaction is open. */
const IN_TRANSACTION = 1;
const ENDS =
  /^\s*(begin(?!\s+not\s+atomic)|start\s+transaction|commit|xa|rollback(?!\s+(work\s+)?to\b)|set\s+(@@)?(session\s+)?autocommit)\b/i;
/** They commit whatever is open before they begin. */
const COMMITS =
  /^\s*((create|drop)(?!\s+temporary)|alter|truncate|rename|lock\s+tables?|unlock\s+tables|grant|revoke|analyze|optimize|repair|flush|reset|install|uninstall|load\s+index|cache\s+index|check\s+table)\b/i;

interface ServerTraits {
  readonly server: string;
  /** It has `innodb_snapshot_isolation` (MariaDB 10.6.18, 10.11.8; on by default since 11.6.2). */
  readonly mindsSnapshots: boolean;
}

export const mariadbTransactions = ({ server, mindsSnapshots }: ServerTraits): TransactionDialect => ({
  server,
  begin: (isolation, savepoint) => [
    ...(isolation === undefined ? [] : [`SET TRANSACTION ISOLATION LEVEL ${isolation}`]),
    'START TRANSACTION',
    `SAVEPOINT ${savepoint}`,
  ],
  complete: (table, claim, result, ttlMs) => ({
    // A renewal or a step has changed the record since the handler first read something: that is no conflict.
    sql: `${mindsSnapshots ? 'set statement innodb_snapshot_isolation = off for ' : ''}${completeInside(quoteTable(table)).trim()}`,
    values: [
      Buffer.from(result.buffer, result.byteOffset, result.byteLength),
      ttlMs,
      Buffer.from(claim.id),
      Buffer.from(claim.ownerToken),
    ],
  }),
  // The variable has another name on each; a system variable of neither name is an error on the other.
  currentIsolation: `show session variables where variable_name in ('tx_isolation', 'transaction_isolation')`,
  refusal(sql) {
    const word = `\`${(/\w+/.exec(sql)?.[0] ?? '').toUpperCase()}\``;
    if (ENDS.test(sql)) {
      return `${word} in a handler's transaction would end it without its record. Leave its end to the library, nest with \`dataSource.transaction()\`, or run it in \`outsideTransaction()\`.`;
    }
    if (COMMITS.test(sql)) {
      return `${word} in a handler's transaction would commit what the handler has written so far, without its record: MariaDB and MySQL do so before every change of a schema (\`repository.clear()\` is one). Run it in \`outsideTransaction()\`, or delete rows instead.`;
    }
    return undefined;
  },
  describeLoss: (error) =>
    numberOf(error) === NO_SAVEPOINT
      ? 'A statement of the handler has ended its transaction without its record (a change of a schema does, in a procedure as well). Leave its end to the library.'
      : undefined,
  isConflict: ({ errno, code }) => CONFLICTS.includes(errno) || CONFLICT_NAMES.includes(code),
  connect: async (runner) => new MariaDbRequestConnection(runner, (await runner.connect()) as PoolConnection),
});

class MariaDbRequestConnection implements RequestConnection {
  constructor(
    private readonly runner: QueryRunner,
    private readonly connection: PoolConnection,
  ) {}

  ask({ sql, values }: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.connection.query({ sql, values: [...values] }, (error, answer) => {
        if (error === null || error === undefined) resolve(answerOf(answer));
        else reject(withoutText(error));
      });
    });
  }

  view(gate: Gate): unknown {
    const { connection } = this;
    const through =
      (send: Send) =>
      (...args: unknown[]): unknown => {
        const callback = typeof args.at(-1) === 'function' ? (args.pop() as Callback) : undefined;
        const sql = textOf(args[0]);
        if (callback === undefined) return this.stream(sql, args, send, gate);
        const answer = gate.pass(sql, async () => {
          const answered = await called(connection, send, args);
          if (hasLeft(answered[0])) gate.lost('was ended by a statement of the handler');
          return answered;
        });
        answer.then(
          ([rows, fields]) => callback(null, rows, fields),
          (error: unknown) => callback(error),
        );
        return undefined;
      };
    return new Proxy(connection, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name === 'query' || name === 'execute') return through(value as Send);
        // Made of what it is called on, so that its own questions come through here as well.
        if (name === 'promise') return value;
        if (['release', 'end', 'close', 'destroy', '_realEnd'].includes(String(name))) return () => undefined;
        if (
          ['beginTransaction', 'commit', 'rollback', 'changeUser', 'reset', 'prepare'].includes(String(name))
        )
          return (...args: unknown[]) => refused(gate, String(name), args);
        return value.bind(target) as unknown;
      },
    });
  }

  /** A deadlock, among others, undoes the whole transaction: the next statement would be one of its own, for good. */
  async lossAfter(error: unknown): Promise<string | undefined> {
    const why = `is undone by the database (${error instanceof Error ? error.message : String(error)})`;
    if (CONFLICTS.includes(numberOf(error))) return why;
    try {
      return await new Promise((resolve, reject) => {
        this.connection.query({ sql: 'do 0', values: [] }, (failed, answer) => {
          if (failed instanceof Error) reject(failed);
          else resolve(hasLeft(answer) ? why : undefined);
        });
      });
    } catch {
      return why;
    }
  }

  async release(): Promise<void> {
    await this.runner.release();
  }

  discard(): Promise<void> {
    (this.runner as { isReleased: boolean }).isReleased = true;
    // Its own `destroy` takes it out of the pool, and then waits for the server to close the socket.
    this.connection.destroy();
    this.connection.stream?.destroy();
    return Promise.resolve();
  }

  private stream(sql: string, args: unknown[], send: Send, gate: Gate): unknown {
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    let reading: Reading | undefined;
    gate.passStream(sql, ended, (reason) => {
      // Where nobody listens, an error would end the process.
      reading?.on('error', () => undefined);
      reading?.destroy(reason);
    });
    const command = send.apply(this.connection, args) as {
      once(event: string, listener: () => void): unknown;
      stream(...options: unknown[]): Reading;
    };
    tellHere(command);
    for (const event of ['end', 'error']) command.once(event, end);
    const stream = command.stream.bind(command);
    command.stream = (...options) => (reading = stream(...options));
    return command;
  }
}

function called(connection: unknown, send: Send, args: unknown[]): Promise<[unknown, unknown]> {
  return new Promise((resolve, reject) => {
    send.call(connection, ...args, (error: unknown, rows: unknown, fields: unknown) => {
      if (error instanceof Error) reject(error);
      else resolve([rows, fields]);
    });
  });
}

/** What changes is answered with the state of the session. */
function hasLeft(answer: unknown): boolean {
  // A procedure answers with its rows first.
  const last: unknown = Array.isArray(answer) ? answer.at(-1) : answer;
  const status = (last as { serverStatus?: unknown } | undefined)?.serverStatus;
  return typeof status === 'number' && (status & IN_TRANSACTION) === 0;
}

function refused(gate: Gate, name: string, args: unknown[]): void {
  const refusal = gate.pass(name === 'rollback' ? 'ROLLBACK' : 'COMMIT', () => Promise.resolve());
  const callback = args.at(-1);
  refusal.catch((error: unknown) => typeof callback === 'function' && (callback as Callback)(error));
}

function answerOf(answer: unknown): Answer {
  if (Array.isArray(answer)) {
    // `show variables` has its own names.
    const rows = (answer as Record<string, unknown>[]).map((row) => ({ isolation: row['Value'], ...row }));
    return { rows, affected: 0 };
  }
  return {
    rows: [],
    affected: Number((answer as { affectedRows?: unknown } | undefined)?.affectedRows ?? 0),
  };
}

/** The driver adds the statement with all its values. A logger would write them out: a response, an owner token. */
function withoutText(error: unknown): Error {
  if (typeof error === 'object' && error !== null && 'sql' in error) delete error.sql;
  return error as Error;
}

function textOf(query: unknown): string {
  if (typeof query === 'string') return query;
  const { sql } = (query ?? {}) as { sql?: unknown };
  return typeof sql === 'string' ? sql : '';
}
