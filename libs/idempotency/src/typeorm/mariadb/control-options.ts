import type { DataSourceOptions } from 'typeorm';

export type MariaDbOptions = Extract<DataSourceOptions, { type: 'mysql' | 'mariadb' }>;

/** How long a new connection may take, and a call may wait for one of ours. */
export const CONNECT_TIMEOUT_MS = 5000;

/**
 * Calls that wait for a connection at the same time; the next one is refused at once. While a server stands still,
 * the pool would else keep a waiter for every call of the outage, long after each has been refused.
 */
export const MOST_WAITING = 10_000;

/** What of `extra` is meant for the application's own statements, results and pool. */
const NOT_OURS = [
  ...['connectionLimit', 'maxIdle', 'idleTimeout', 'queueLimit', 'waitForConnections', 'acquireTimeout'],
  ...['flags', 'multipleStatements', 'namedPlaceholders', 'rowsAsArray', 'nestTables', 'typeCast'],
  ...['dateStrings', 'decimalNumbers', 'charset', 'timezone', 'debug', 'trace', 'queryFormat'],
];

/**
 * The application's way to the database, and nothing else of its options: no entities, no migrations, no query log, in
 * which ids would stand. Where reads are replicated, only the primary knows what has just been claimed.
 */
export function controlOptions(options: MariaDbOptions, size: number): MariaDbOptions {
  const { url, host, port, username, password, database } = options.replication?.master ?? options;
  const ssl: unknown = options.replication?.master.ssl ?? options.ssl;
  const socketPath = options.replication?.master.socketPath ?? options.socketPath;
  const extra = Object.fromEntries(
    Object.entries((options.extra ?? {}) as Record<string, unknown>).filter(
      ([name]) => !NOT_OURS.includes(name),
    ),
  );
  return {
    type: options.type,
    ...{ url, host, port, username, password, database, ssl, socketPath },
    // TypeORM 0.3 asks which of two packages it is; later there is one.
    ...('connectorPackage' in options ? { connectorPackage: options.connectorPackage } : {}),
    driver: options.driver as unknown,
    insecureAuth: options.insecureAuth,
    poolSize: size,
    connectTimeout: CONNECT_TIMEOUT_MS,
    charset: 'utf8mb4',
    supportBigNumbers: true,
    bigNumberStrings: true,
    logging: false,
    extra: {
      enableKeepAlive: true,
      ...extra,
      queueLimit: MOST_WAITING,
      // What `performance_schema.session_connect_attrs` shows.
      connectAttributes: {
        ...(extra['connectAttributes'] as object | undefined),
        program_name: 'nestjs-idempotent',
      },
    },
  };
}
