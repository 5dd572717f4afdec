import { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../core/errors.js';
import type { StorageHost } from '../core/idempotency-storage.js';
import type { StorageTransactions } from '../core/transaction.js';
import type { Database, RecordTable } from './database.js';
import { databaseOf, SUPPORTED_TYPES } from './databases.js';
import { PurgeTimer } from './purge-timer.js';
import { reasonAgainst } from './sqlite/other-drivers.js';
import type { ResolvedOptions } from './storage-options.js';
import { DEFAULT_TABLE, type TableName } from './table-name.js';
import { TypeOrmTransactions } from './transaction/transactions.js';

export interface SessionParts {
  readonly records: RecordTable;
  readonly purgeEveryMs: number | undefined;
  /** Or why there are none. */
  readonly transactions?: TypeOrmTransactions | string | undefined;
  warn(message: string): void;
}

/** What lives from start to stop. */
export class Session {
  readonly records: RecordTable;
  private readonly purgeTimer: PurgeTimer | undefined;

  constructor(private readonly parts: SessionParts) {
    const { records, purgeEveryMs: everyMs, warn } = parts;
    this.records = records;
    if (everyMs === undefined) return;
    this.purgeTimer = new PurgeTimer({ everyMs, purge: (limit) => records.purge(limit), warn });
    this.purgeTimer.start();
  }

  get transactions(): StorageTransactions | string {
    return this.parts.transactions ?? 'It was opened without the DataSource of the application.';
  }

  warn(message: string): void {
    this.parts.warn(message);
  }

  async close(): Promise<void> {
    await this.purgeTimer?.stop();
    const { transactions } = this.parts;
    if (typeof transactions === 'object') transactions.close();
    await this.records.close();
  }
}

export async function openSession(options: ResolvedOptions, host: StorageHost | undefined): Promise<Session> {
  const warn = (message: string) => (host === undefined ? process.emitWarning(message) : host.warn(message));
  const { dataSource, database } = usable(options.dataSource ?? host?.find(DataSource));
  const { controlConnections, preparedStatements, purgeEveryMs } = options;
  const records = await database.open(dataSource, tableIn(dataSource, database, options.table), {
    controlConnections,
    preparedStatements,
    host,
    warn,
  });
  const transactions = transactionsOver(dataSource, records, host);
  return new Session({ records, purgeEveryMs, transactions, warn });
}

function transactionsOver(
  dataSource: DataSource,
  { transactional }: RecordTable,
  host: StorageHost | undefined,
): TypeOrmTransactions | string | undefined {
  if (typeof transactional !== 'object') return transactional;
  return new TypeOrmTransactions({ dataSource, ...transactional, all: host?.findAll?.(DataSource) ?? [] });
}

function usable(dataSource: DataSource | undefined): { dataSource: DataSource; database: Database } {
  if (dataSource === undefined) {
    throw new InvalidOptionsError(
      'typeOrmStorage: there is no DataSource. Give it one as `dataSource`, or import TypeOrmModule.forRoot() in the application.',
    );
  }
  const { type } = dataSource.options;
  const database = databaseOf(type);
  if (database === undefined) {
    const supported = SUPPORTED_TYPES.map((one) => `'${one}'`).join(', ');
    const mend =
      reasonAgainst(type) ?? `Supported is ${supported}; give a DataSource of such a type as \`dataSource\`.`;
    throw new InvalidOptionsError(`typeOrmStorage: the DataSource is of type '${type}'. ${mend}`);
  }
  if (!dataSource.isInitialized) {
    throw new InvalidOptionsError(
      'typeOrmStorage: the DataSource is not initialized. Call `await dataSource.initialize()` before the application starts; the storage neither opens nor closes what is yours.',
    );
  }
  return { dataSource, database };
}

/** Where the entity is registered, naming strategy and prefix have their say. */
function tableIn(dataSource: DataSource, { entity }: Database, table: TableName | undefined): TableName {
  const schema = 'schema' in dataSource.options ? dataSource.options.schema : undefined;
  if (table !== undefined) return { schema: table.schema ?? schema, name: table.name };
  if (!dataSource.hasMetadata(entity)) return { schema, name: DEFAULT_TABLE };
  const metadata = dataSource.getMetadata(entity);
  return { schema: metadata.schema ?? schema, name: metadata.tableName };
}
