import type { DataSource } from 'typeorm';
import { durationMs, type Duration } from '../core/duration.js';
import { InvalidOptionsError } from '../core/errors.js';
import { parseTableName, type TableName } from './table-name.js';

/** Options of `typeOrmStorage()`. */
export interface TypeOrmStorageOptions {
  /**
   * Whose database holds the records.
   *
   * Only its options are used: the storage opens connections of its own, so a full pool cannot hold up a renewal.
   *
   * @default the application's only DataSource
   */
  readonly dataSource?: DataSource;
  /**
   * Name of the table, with or without a schema; upper and lower case count.
   *
   * @default 'idempotency_records'
   */
  readonly table?: string;
  /**
   * How many connections the storage opens for itself, per process.
   *
   * They carry every call except the completion inside a handler's transaction.
   *
   * @default 2
   */
  readonly controlConnections?: number;
  /**
   * How often this process removes expired records; `false` leaves it to `purgeExpired()`.
   *
   * @default '10m'
   */
  readonly purgeEvery?: Duration | false;
  /**
   * Lets the server keep the plans of the storage's statements: a claim then takes it about a fifth of the time.
   *
   * Behind a pooler that shares connections and does not know prepared statements (PgBouncer before 1.21 in transaction
   * mode) it has no effect but a warning.
   *
   * @default false
   */
  readonly preparedStatements?: boolean;
}

export interface ResolvedOptions {
  readonly dataSource: DataSource | undefined;
  readonly table: TableName | undefined;
  readonly controlConnections: number;
  readonly purgeEveryMs: number | undefined;
  readonly preparedStatements: boolean;
}

const NAMES: readonly string[] = [
  'dataSource',
  'table',
  'controlConnections',
  'purgeEvery',
  'preparedStatements',
] satisfies (keyof TypeOrmStorageOptions)[];

export function resolveOptions(options: TypeOrmStorageOptions): ResolvedOptions {
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name)) {
      throw new InvalidOptionsError(
        `typeOrmStorage: there is no option \`${name}\`. It knows ${NAMES.map((known) => `\`${known}\``).join(', ')}.`,
      );
    }
  }
  const { dataSource } = options;
  // Not `instanceof`: the application may have a copy of TypeORM of its own.
  if (dataSource !== undefined && typeof dataSource?.isInitialized !== 'boolean') {
    throw new InvalidOptionsError(
      'typeOrmStorage: `dataSource` is not a DataSource. Give `await new DataSource({ … }).initialize()`, or leave it out where the application has one.',
    );
  }
  const controlConnections = options.controlConnections ?? 2;
  if (!Number.isSafeInteger(controlConnections) || controlConnections < 1) {
    throw new InvalidOptionsError(
      `typeOrmStorage: \`controlConnections\` is ${String(controlConnections)}. Leases are renewed over them: give a whole number of at least 1.`,
    );
  }
  const purgeEvery = options.purgeEvery ?? '10m';
  return {
    dataSource,
    table: options.table === undefined ? undefined : parseTableName(options.table),
    controlConnections,
    purgeEveryMs: purgeEvery === false ? undefined : durationMs('purgeEvery', purgeEvery),
    preparedStatements: options.preparedStatements ?? false,
  };
}
