import { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../core/errors.js';
import type { StorageHost } from '../core/idempotency-storage.js';
import { ControlConnections, type QueryAnswer } from './control-connections.js';
import { PurgeTimer } from './purge-timer.js';
import { IdempotencyRecord } from './record.entity.js';
import type { ResolvedOptions } from './storage-options.js';
import * as postgres from './statements/postgres.js';
import { checkTable } from './table-check.js';
import { DEFAULT_TABLE, quoteTable, type TableName } from './table-name.js';

/** The SQL of one kind of database, each for a quoted table. */
export type Statements = Omit<typeof postgres, 'inspect'>;
export type StatementName = keyof Statements;

export interface SessionParts {
  readonly connections: Pick<ControlConnections, 'query' | 'close'>;
  readonly statements: Statements;
  readonly table: TableName;
  readonly purgeEveryMs: number | undefined;
  warn(message: string): void;
}

/** What lives from start to stop. */
export class Session {
  private readonly texts = new Map<StatementName, string>();
  private readonly purgeTimer: PurgeTimer | undefined;

  constructor(private readonly parts: SessionParts) {
    const { purgeEveryMs: everyMs, warn } = parts;
    if (everyMs === undefined) return;
    const purge = async (limit: number) => (await this.query('purge', [limit])).rowCount ?? 0;
    this.purgeTimer = new PurgeTimer({ everyMs, purge, warn });
    this.purgeTimer.start();
  }

  query(name: StatementName, values: unknown[]): Promise<QueryAnswer> {
    const { connections, statements, table } = this.parts;
    const sql = this.texts.get(name) ?? statements[name](quoteTable(table)).trim();
    this.texts.set(name, sql);
    return connections.query({ name, sql }, values);
  }

  warn(message: string): void {
    this.parts.warn(message);
  }

  async close(): Promise<void> {
    await this.purgeTimer?.stop();
    await this.parts.connections.close();
  }
}

export async function openSession(options: ResolvedOptions, host: StorageHost | undefined): Promise<Session> {
  const warn = (message: string) => (host === undefined ? process.emitWarning(message) : host.warn(message));
  const dataSource = usableDataSource(options.dataSource ?? host?.find(DataSource));
  const table = tableIn(dataSource, options.table);
  const connections = await ControlConnections.open(dataSource.options, {
    size: options.controlConnections,
    preparedStatements: options.preparedStatements,
    warn,
  });
  try {
    const { rows } = await connections.query({ name: 'inspect', sql: postgres.inspect }, [quoteTable(table)]);
    checkTable(table, rows[0] ?? {});
  } catch (error) {
    await connections.close();
    throw error;
  }
  return new Session({ connections, statements: postgres, table, purgeEveryMs: options.purgeEveryMs, warn });
}

type PostgresDataSource = DataSource & { readonly options: { readonly type: 'postgres' } };

function usableDataSource(dataSource: DataSource | undefined): PostgresDataSource {
  if (dataSource === undefined) {
    throw new InvalidOptionsError(
      'typeOrmStorage: there is no DataSource. Give it one as `dataSource`, or import TypeOrmModule.forRoot() in the application.',
    );
  }
  const { type } = dataSource.options;
  if (type !== 'postgres') {
    throw new InvalidOptionsError(
      `typeOrmStorage: the DataSource is of type '${type}'. Supported is 'postgres'; give a DataSource of that type as \`dataSource\`.`,
    );
  }
  if (!dataSource.isInitialized) {
    throw new InvalidOptionsError(
      'typeOrmStorage: the DataSource is not initialized. Call `await dataSource.initialize()` before the application starts; the storage neither opens nor closes what is yours.',
    );
  }
  return dataSource as PostgresDataSource;
}

/** Where the entity is registered, naming strategy and prefix have their say. */
function tableIn(dataSource: PostgresDataSource, table: TableName | undefined): TableName {
  const { schema } = dataSource.options;
  if (table !== undefined) return { schema: table.schema ?? schema, name: table.name };
  if (!dataSource.hasMetadata(IdempotencyRecord)) return { schema, name: DEFAULT_TABLE };
  const metadata = dataSource.getMetadata(IdempotencyRecord);
  return { schema: metadata.schema ?? schema, name: metadata.tableName };
}
