import type { DataSourceOptions } from 'typeorm';

export type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;

/** No statement waits longer for somebody else's row. */
const LOCK_TIMEOUT_MS = 1000;
/** The server ends a statement that takes longer, so that a call nobody waits for any more gives its connection back. */
export const STATEMENT_TIMEOUT_MS = 5000;

/** What of `extra` is meant for the application's own statements and pool. */
const NOT_OURS = [
  'statement_timeout',
  'lock_timeout',
  'query_timeout',
  'idle_in_transaction_session_timeout',
  'min',
];

/**
 * The application's way to the database, and nothing else of its options: no entities, no migrations, no query log, in
 * which ids would stand. Where reads are replicated, only the primary knows what has just been claimed.
 *
 * @param bounded whether the server is told how long it may work and wait; some poolers refuse to
 */
export function controlOptions(options: PostgresOptions, size: number, bounded: boolean): PostgresOptions {
  const { url, host, port, username, password, database, ssl, applicationName } =
    options.replication?.master ?? options;
  const extra = Object.fromEntries(
    Object.entries((options.extra ?? {}) as Record<string, unknown>).filter(
      ([name]) => !NOT_OURS.includes(name),
    ),
  );
  const application = ownName(options.applicationName ?? applicationName ?? extra['application_name']);
  return {
    type: 'postgres',
    ...{ url, host, port, username, password, database, ssl },
    driver: options.driver as unknown,
    nativeDriver: options.nativeDriver as unknown,
    applicationName: application,
    poolSize: size,
    extra: {
      keepAlive: true,
      ...extra,
      application_name: application,
      max: size,
      connectionTimeoutMillis: STATEMENT_TIMEOUT_MS,
      ...(bounded ? { options: startupOptions(extra['options']) } : {}),
    },
    installExtensions: false,
    logging: false,
    // An idle connection that breaks is replaced when it is needed; if that fails, the call says why.
    poolErrorHandler: () => undefined,
  };
}

/** Stronger than what is set for the database and the role: a default of SERIALIZABLE does not reach our statements. */
function startupOptions(theirs: unknown): string {
  const before = typeof theirs === 'string' ? theirs : process.env['PGOPTIONS'];
  const ours = [
    `-c statement_timeout=${STATEMENT_TIMEOUT_MS}`,
    `-c lock_timeout=${LOCK_TIMEOUT_MS}`,
    '-c default_transaction_isolation=read\\ committed',
    // Every statement goes by an index. A plan made while the table was small must not read all of it later.
    '-c enable_seqscan=off',
  ];
  return [...(before ? [before] : []), ...ours].join(' ');
}

/** What `pg_stat_activity` shows. */
function ownName(application: unknown): string {
  return typeof application === 'string' && application !== ''
    ? `${application} (nestjs-idempotent)`
    : 'nestjs-idempotent';
}
