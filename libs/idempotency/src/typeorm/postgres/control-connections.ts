import { createHash } from 'node:crypto';
import { DataSource } from 'typeorm';
import { messageOf, unavailable } from '../unavailable.js';
import { controlOptions, STATEMENT_TIMEOUT_MS, type PostgresOptions } from './control-options.js';

/** What we call of the client of `pg` that TypeORM's driver hands out. */
interface PgClient {
  query(query: { name?: string; text: string; values: unknown[] }): Promise<QueryAnswer>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  removeListener(event: 'error', listener: (error: Error) => void): unknown;
}

/** What we call of TypeORM's driver: unlike a query runner it lets a broken connection be thrown away. */
interface PgDriver {
  obtainMasterConnection(): Promise<[client: PgClient, release: (broken?: Error) => void]>;
}

export interface QueryAnswer {
  readonly rows: readonly Record<string, unknown>[];
  readonly rowCount: number | null;
}

export interface Statement {
  readonly name: string;
  readonly sql: string;
}

export interface ControlSettings {
  readonly size: number;
  readonly preparedStatements: boolean;
  warn(message: string): void;
}

/** A server that has not even said so by now is not there: the connection is thrown away. */
const ANSWER_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 1000;
const RETRIES = 5;

/**
 * The storage's own few connections, opened like those of the application's DataSource. A handler may hold every
 * connection of the application; it holds none of these, so leases are still renewed.
 */
export class ControlConnections {
  private readonly preparedNames = new Map<string, string>();
  private prepares: boolean;

  private constructor(
    private readonly dataSource: DataSource,
    private readonly settings: ControlSettings,
  ) {
    this.prepares = settings.preparedStatements;
  }

  static async open(options: PostgresOptions, settings: ControlSettings): Promise<ControlConnections> {
    const open = (bounded: boolean) =>
      new DataSource(controlOptions(options, settings.size, bounded)).initialize();
    try {
      const dataSource = await open(true).catch((error: unknown) => {
        if (!isStartupParameterRefused(error)) throw error;
        settings.warn(
          'typeOrmStorage: the pooler before PostgreSQL refuses startup parameters, so the server does not bound how long it ' +
            'works on a statement of the storage. Let it pass `options`, for PgBouncer in `ignore_startup_parameters`.',
        );
        return open(false);
      });
      return new ControlConnections(dataSource, settings);
    } catch (error) {
      throw unavailable('PostgreSQL', 'the connection', error);
    }
  }

  /** Rejects with StorageUnavailableError alone. */
  async query(statement: Statement, values: unknown[]): Promise<QueryAnswer> {
    for (let retries = 0; ; retries += 1) {
      try {
        return await this.queryOnce(statement, values);
      } catch (error) {
        // Nothing has happened. It comes where the isolation level could not be set: behind some poolers.
        if (isSerializationFailure(error) && retries < RETRIES) continue;
        if (isPreparedElsewhere(error) && retries < RETRIES) {
          this.stopPreparing();
          continue;
        }
        throw unavailable('PostgreSQL', `\`${statement.name}\``, error);
      }
    }
  }

  async close(): Promise<void> {
    await this.dataSource.destroy();
  }

  private async queryOnce({ name, sql }: Statement, values: unknown[]): Promise<QueryAnswer> {
    const driver = this.dataSource.driver as unknown as PgDriver;
    const [client, release] = await driver.obtainMasterConnection();
    let broken: Error | undefined;
    // Without a listener a connection that breaks while it is ours would end the process.
    const onError = (error: Error) => (broken = error);
    client.on('error', onError);
    let timer: NodeJS.Timeout | undefined;
    try {
      const timeout = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          broken = new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`);
          reject(broken);
        }, ANSWER_TIMEOUT_MS);
        timer.unref();
      });
      const query = { text: sql, values, ...(this.prepares ? { name: this.preparedName(name, sql) } : {}) };
      return await Promise.race([client.query(query), timeout]);
    } finally {
      clearTimeout(timer);
      client.removeListener('error', onError);
      release(broken);
    }
  }

  /** Unique to the text: where a pooler shares connections, another client may have prepared one of its own. */
  private preparedName(name: string, sql: string): string {
    const known = this.preparedNames.get(sql);
    if (known !== undefined) return known;
    const made = `idempotency_${name}_${createHash('sha256').update(sql).digest('hex').slice(0, 16)}`;
    this.preparedNames.set(sql, made);
    return made;
  }

  private stopPreparing(): void {
    if (!this.prepares) return;
    this.prepares = false;
    this.settings.warn(
      'typeOrmStorage: a pooler shares connections among clients here, so `preparedStatements` has no effect. Leave it off.',
    );
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}

function isStartupParameterRefused(error: unknown): boolean {
  return codeOf(error) === '08P01' && /startup parameter/.test(messageOf(error));
}

/** One client's prepared statement has met another client's connection. */
function isPreparedElsewhere(error: unknown): boolean {
  return codeOf(error) === '42P05' || codeOf(error) === '26000';
}

function isSerializationFailure(error: unknown): boolean {
  return codeOf(error) === '40001' || codeOf(error) === '40P01';
}
