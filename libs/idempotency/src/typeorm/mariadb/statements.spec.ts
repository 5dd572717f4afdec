import { describe, expect, it } from '@jest/globals';
import { claim } from './mariadb-claim.js';
import { insert, look, take } from './mysql-claim.js';
import { serverOf } from './session-settings.js';
import * as common from './statements.js';

const isText = (one: unknown): one is (table: string) => string =>
  typeof one === 'function' && one !== common.secondsUntil;
const forMySql = [...Object.values(common).filter(isText), look, insert, take].map((text) => text('`t`'));

/** What MariaDB 10.6 has, and MySQL 8 has not or writes differently. */
const MARIADB_ALONE =
  /begin not atomic|set statement|returning|\bseq_|max_statement_time|tx_isolation|wait \d/i;

describe('the statements', () => {
  it('for MySQL hold nothing that MariaDB alone knows', () => {
    expect(forMySql.length).toBeGreaterThan(10);
    for (const sql of forMySql) expect(sql).not.toMatch(MARIADB_ALONE);
    expect(serverOf('8.4.3').settings).not.toMatch(MARIADB_ALONE);
    // The check finds what it looks for.
    expect(claim('`t`')).toMatch(MARIADB_ALONE);
    expect(serverOf('10.11.19-MariaDB').settings).toMatch(MARIADB_ALONE);
  });

  it('are told the same of every session: isolation, time zone, mode and how long to wait', () => {
    for (const version of ['8.4.3', '10.11.19-MariaDB']) {
      const { settings } = serverOf(version);
      for (const part of [
        `READ-COMMITTED`,
        `time_zone = '+00:00'`,
        'STRICT_ALL_TABLES',
        'autocommit = 1',
        'innodb_lock_wait_timeout = 1',
        'lock_wait_timeout = 1',
      ])
        expect(settings).toContain(part);
    }
  });

  it('lock no row but by skipping what others have locked, or by the primary key', () => {
    for (const sql of [...forMySql, claim('`t`')]) {
      const locking = sql.split('for update').length - 1 - (sql.split('for update `t`').length - 1);
      expect(sql.split('for update skip locked').length - 1).toBe(locking);
    }
  });
});
