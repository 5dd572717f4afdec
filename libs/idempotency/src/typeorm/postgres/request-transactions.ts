import type { QueryRunner } from 'typeorm';
import type {
  Answer,
  Gate,
  Question,
  RequestConnection,
  TransactionDialect,
} from '../transaction/dialect.js';
import { quoteTable } from '../table-name.js';
import { tellHere } from '../transaction/tell-here.js';
import { complete } from './statements.js';
import { writeId } from './stored-id.js';

/** What we call of the client of `pg` that a query runner hands out. */
interface PgClient {
  query(query: { text: string; values?: unknown[] } | string): Promise<PgAnswer | PgAnswer[]>;
}

interface PgAnswer {
  readonly rows: readonly Record<string, unknown>[];
  readonly rowCount: number | null;
  readonly command: string;
}

type Callback = (error: unknown, answer?: unknown) => void;

/** TypeORM's runner, with what it has for a connection that broke. */
interface PgRunner extends QueryRunner {
  releasePostgresConnection?(error?: Error): Promise<void>;
}

const ABORTED = '25P02';
const NO_TRANSACTION = '25P01';
const NO_SAVEPOINT = '3B001';
const CONFLICTS: readonly unknown[] = ['40001', '40P01'];
const ENDS =
  /^\s*(begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+((work|transaction)\s+)?to\b))\b/i;

export const postgresTransactions: TransactionDialect = {
  server: 'PostgreSQL',
  begin: (isolation, savepoint) => [
    `START TRANSACTION${isolation === undefined ? '' : ` ISOLATION LEVEL ${isolation}`}; SAVEPOINT ${savepoint}`,
  ],
  complete: (table, claim, result, ttlMs) => ({
    sql: complete(quoteTable(table)).trim(),
    values: [writeId(claim.id), claim.ownerToken, result, ttlMs],
  }),
  currentIsolation: `select current_setting('transaction_isolation') as isolation`,
  refusal: (sql) =>
    ENDS.test(sql)
      ? `\`${firstWord(sql)}\` in a handler's transaction would end it without its record. Leave its end to the library, nest with \`dataSource.transaction()\`, or run it in \`outsideTransaction()\`.`
      : undefined,
  describeLoss(error) {
    const code = codeOf(error);
    if (code === ABORTED) {
      return (
        'PostgreSQL has undone the transaction when one of its statements failed, although the handler caught the error and went on. ' +
        'Insert what may be there already with `insertOnce()`, or put what may fail into `dataSource.transaction()`, which is a savepoint here.'
      );
    }
    if (code === NO_TRANSACTION || code === NO_SAVEPOINT)
      return 'A statement of the handler has ended its transaction without its record. Leave its end to the library.';
    return undefined;
  },
  isConflict: ({ code }) => CONFLICTS.includes(code),
  connect: async (runner) => PostgresRequestConnection.open(runner),
};

class PostgresRequestConnection implements RequestConnection {
  private constructor(
    private readonly runner: PgRunner,
    private readonly client: PgClient,
  ) {}

  static async open(runner: PgRunner): Promise<PostgresRequestConnection> {
    const connection = new PostgresRequestConnection(runner, (await runner.connect()) as PgClient);
    const release = runner.release.bind(runner);
    connection.giveBack = release;
    // `dataSource.destroy()` releases what is in use: its transaction must not get into other hands.
    runner.release = () => connection.discard(new Error('the DataSource was destroyed'));
    return connection;
  }

  private giveBack: () => Promise<void> = () => Promise.resolve();

  async ask({ sql, values }: Question): Promise<Answer> {
    const answer = await this.client.query(values.length > 0 ? { text: sql, values: [...values] } : sql);
    const last = Array.isArray(answer) ? answer.at(-1) : answer;
    return { rows: last?.rows ?? [], affected: last?.rowCount ?? 0, tag: last?.command ?? '' };
  }

  view(gate: Gate): unknown {
    const { client } = this;
    const query = (...args: unknown[]): unknown => {
      const [first] = args;
      const sql = textOf(first);
      if (isSubmittable(first)) return this.stream(first, sql, gate);
      const callback = typeof args.at(-1) === 'function' ? (args.pop() as Callback) : undefined;
      const send = client.query as (...all: unknown[]) => Promise<unknown>;
      const answer = gate.pass(sql, () => send.apply(client, args));
      if (callback === undefined) return answer;
      answer.then(
        (result) => callback(undefined, result),
        (error: unknown) => callback(error),
      );
      return undefined;
    };
    return new Proxy(client, {
      get: (target, name) => {
        if (name === 'query') return query;
        if (name === 'release' || name === 'end') return () => undefined;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  /** PostgreSQL obeys nothing more after an error, until a savepoint or the end. */
  lossAfter(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  release(): Promise<void> {
    return this.giveBack();
  }

  async discard(reason: Error): Promise<void> {
    try {
      if (this.runner.releasePostgresConnection === undefined) await this.giveBack();
      else await this.runner.releasePostgresConnection(reason);
    } catch {
      // It is as gone as it can be.
    }
  }

  private stream(query: Submittable, sql: string, gate: Gate): unknown {
    tellHere(query);
    const ended = new Promise<void>((resolve) => {
      for (const event of ['end', 'close', 'error']) query.once?.(event, () => resolve());
    });
    gate.passStream(sql, ended, (reason) => {
      // Where nobody listens, an error would end the process.
      query.on?.('error', () => undefined);
      query.destroy?.(reason);
    });
    return (this.client.query as (one: unknown) => unknown).call(this.client, query);
  }
}

/** Such as `pg-query-stream`: it speaks to the server by itself. */
interface Submittable {
  submit(connection: unknown): unknown;
  once?(event: string, listener: () => void): unknown;
  on?(event: string, listener: () => void): unknown;
  destroy?(reason: Error): unknown;
}

function isSubmittable(query: unknown): query is Submittable {
  return typeof query === 'object' && query !== null && typeof (query as Submittable).submit === 'function';
}

function textOf(query: unknown): string {
  if (typeof query === 'string') return query;
  const { text, cursor } = (query ?? {}) as { text?: unknown; cursor?: { text?: unknown } };
  const found = text ?? cursor?.text;
  return typeof found === 'string' ? found : '';
}

function firstWord(sql: string): string {
  return (/\w+/.exec(sql)?.[0] ?? '').toUpperCase();
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
