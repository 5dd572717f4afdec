import { InvalidOptionsError } from '../../core/errors.js';

export interface Server {
  /** As people call it. */
  readonly name: 'MariaDB' | 'MySQL';
  /** What a new session of ours is told first. */
  readonly settings: string;
}

/** The server ends a statement that takes longer, so that a call nobody waits for any more gives its connection back. */
export const STATEMENT_TIMEOUT_MS = 5000;

/**
 * Stronger than what the server's configuration, `init_connect` or a proxy has set. Without `now`'s and `like`'s
 * different meanings in other modes, and in UTC, for `sysdate()` would be ambiguous in the hour when summer time ends.
 * No statement waits longer than a second for somebody else's row or schema change.
 */
const COMMON = [
  `time_zone = '+00:00'`,
  `sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'`,
  'autocommit = 1',
  'innodb_lock_wait_timeout = 1',
  'lock_wait_timeout = 1',
  'sql_safe_updates = 0',
  'sql_select_limit = 18446744073709551615',
];
const MARIADB = [
  ...COMMON,
  `tx_isolation = 'READ-COMMITTED'`,
  `max_statement_time = ${STATEMENT_TIMEOUT_MS / 1000}`,
];
/** The time limit is for questions alone here; what writes is bounded by its locks. */
const MYSQL = [
  ...COMMON,
  `transaction_isolation = 'READ-COMMITTED'`,
  `max_execution_time = ${STATEMENT_TIMEOUT_MS}`,
];

const OLDEST_MARIADB = [10, 6, 0];
/** Checks that are kept (8.0.16), and assignments of `case` to a derived table's neighbour (8.0.19). */
const OLDEST_MYSQL = [8, 0, 19];

/**
 * Which of the two answers is known by `version()` alone: a DataSource of either type connects to both.
 *
 * @param tool whose server it is to be, for the message
 * @throws InvalidOptionsError for one that is too old
 */
export function serverOf(version: string, tool = 'typeOrmStorage'): Server {
  const isMariaDb = /mariadb/i.test(version);
  const oldest = isMariaDb ? OLDEST_MARIADB : OLDEST_MYSQL;
  const name = isMariaDb ? 'MariaDB' : 'MySQL';
  if (isOlder(version, oldest)) {
    const [major, minor, patch] = oldest;
    const least = patch === 0 ? `${major}.${minor}` : `${major}.${minor}.${patch}`;
    throw new InvalidOptionsError(`${tool}: ${name} ${version} is too old, it needs ${least} or later.`);
  }
  return { name, settings: `set session ${(isMariaDb ? MARIADB : MYSQL).join(', ')}` };
}

function isOlder(version: string, oldest: readonly number[]): boolean {
  const numbers = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version)?.slice(1).map(Number) ?? [];
  const index = oldest.findIndex((least, place) => (numbers[place] ?? 0) !== least);
  return index >= 0 && (numbers[index] ?? 0) < (oldest[index] ?? 0);
}
