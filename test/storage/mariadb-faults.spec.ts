import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AssertionError } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { storageContract } from '../../libs/idempotency/src/testing/index.js';
import { renewsBesideLockedRow } from '../support/locked-row.js';
import { storageOver, useMariaDb } from '../support/mariadb-fixture.js';

const mariaDb = useMariaDb();
const opened: IdempotencyStorage[] = [];
let dataSource: DataSource;

beforeAll(async () => {
  dataSource = await mariaDb.migrated({ poolSize: 20 });
  // It would stop some of the faults before the contract does.
  await dataSource.query('alter table idempotency_records drop constraint idempotency_records_state');
});
// Before the server is: hooks that were registered last run first.
afterAll(() => Promise.all(opened.map(async (storage) => storage.stop?.())));

async function open(
  claim: 'MariaDB' | 'MySQL',
  change?: (name: string, sql: string) => string,
): Promise<IdempotencyStorage> {
  const storage = await storageOver(dataSource, claim, change);
  await storage.start?.();
  opened.push(storage);
  return storage;
}

/** Runs a clause; resolves with what it found wrong, if anything. */
async function verdict(clause: string, storage: IdempotencyStorage): Promise<string | undefined> {
  const found = storageContract.find(({ name }) => name === clause);
  if (found === undefined) throw new Error(`There is no clause "${clause}".`);
  return found.run({ storage, openPeer: async () => storage, advance: (ms) => sleep(ms) }).then(
    () => undefined,
    (error: Error) => {
      // A fault that the server refuses to run would prove nothing.
      if (!(error instanceof AssertionError)) throw error;
      return error.message;
    },
  );
}

interface Fault {
  readonly fault: string;
  readonly statement: string;
  readonly replace: string | RegExp;
  readonly by: string;
  readonly caughtBy: string;
}

const CLAIM_FAULTS: readonly Fault[] = [
  {
    fault: 'a claim of another fingerprint takes over',
    statement: 'claim',
    replace: /r\.fingerprint = asked_fingerprint\s+and/g,
    by: 'true and',
    caughtBy: 'claim: another fingerprint never claims a record whose lease ended',
  },
  {
    fault: 'a claim looks at the lease of a released record',
    statement: 'claim',
    replace: /r\.owner is null or /g,
    by: '',
    caughtBy: 'lease: with takeOver false a released record is claimed as usual',
  },
  {
    fault: 'a claim asks only whether its owner is another',
    statement: 'claim',
    replace: /r\.owner = token or /g,
    by: '',
    caughtBy: 'claim: the same owner token is claimed again with the same attempt, previous and steps',
  },
  {
    fault: 'a claim does not ask again about the row that it has locked',
    statement: 'claim',
    replace: /(where r\.id = asked_id) and \([\s\S]*?\)\)\)\);\n(\s+set changed)/,
    by: '$1;\n$2',
    caughtBy: 'lease: of 50 racers over one that ran out one wins, and the losers see it running',
  },
  {
    fault: 'a claim replaces what another has inserted meanwhile',
    statement: 'claim',
    replace: /insert into/,
    by: 'replace into',
    caughtBy: 'claim: of 50 racers over two instances one wins, and the losers see its fingerprint',
  },
  {
    fault: 'a claim keeps the steps of a record past its keeping time',
    statement: 'claim',
    replace: /r\.steps = case when .* then null else r\.steps end/,
    by: 'r.steps = r.steps',
    caughtBy: 'keeping: a result past its ttl is absent before it is purged',
  },
  {
    fault: 'a claim assigns the owner before what is made of the old one',
    statement: 'claim',
    replace: /r\.owner_found = case/,
    by: 'r.owner = token, $&',
    caughtBy: 'lease: one that ran out is taken over with the next attempt and the kept steps',
  },
  {
    fault: 'a claim takes over whatever it was told',
    statement: 'claim',
    replace: /take_over and /g,
    by: '',
    caughtBy: 'lease: with takeOver false one that ran out is reported as abandoned and nothing changes',
  },
];

const MYSQL_FAULTS: readonly Fault[] = [
  {
    fault: 'a claim takes a record that is not the one it has seen',
    statement: 'take',
    replace: /and o\.attempt <=> \? and o\.owner <=> \? and o\.lease_until <=> \?\s+and o\.expires_at <=> \?/,
    by: 'and (? is null or true) and (? is null or true) and (? is null or true) and (? is null or true)',
    caughtBy: 'lease: of 50 racers over one that ran out one wins, and the losers see it running',
  },
];

const FAULTS: readonly Fault[] = [
  {
    fault: 'a renewal does not check the owner',
    statement: 'renew',
    replace: 'and r.owner = cast(a.owner as binary)',
    by: '',
    caughtBy: 'renew: a past owner changes nothing',
  },
  {
    fault: 'a renewal forgets the keeping time',
    statement: 'renew',
    replace: ' + h.keep_ms',
    by: '',
    caughtBy: 'renew: a record outlives its renewed lease by keepMs',
  },
  {
    fault: 'a renewal answers in the order of the ids',
    statement: 'renewed',
    replace: 'order by a.place',
    by: 'order by a.id desc',
    caughtBy: 'renew: many claims in one call are answered in their order, lost ones among them',
  },
  {
    fault: 'a completion does not check the owner',
    statement: 'complete',
    replace: 'r.owner = ?',
    by: '? is not null',
    caughtBy: 'complete: a past owner changes nothing',
  },
  {
    fault: 'a completion asks whether the lease still runs',
    statement: 'complete',
    replace: 'where ',
    by: `where r.lease_until > unix_timestamp(sysdate(6)) * 1000 and `,
    caughtBy: 'complete: the owner token decides, not the time',
  },
  {
    fault: 'a completion works once',
    statement: 'complete',
    replace: 'r.state in (0, 1)',
    by: 'r.state = 0',
    caughtBy: 'complete: again by the same owner is applied again',
  },
  {
    fault: 'a release does not check the state',
    statement: 'release',
    replace: 'r.state = 0',
    by: 'r.state in (0, 1)',
    caughtBy: 'release: a completed record stays, also for its own owner',
  },
  {
    fault: 'a release ends the lease before it takes the keeping time from it',
    statement: 'release',
    replace: /(r\.owner = null,\s+)(r\.expires_at = .*),(\s+)(r\.lease_until = .*)/,
    by: '$1$4,$3$2',
    caughtBy: 'keeping: a released record stays for keepMs from its release',
  },
  {
    fault: 'a forgotten claim removes the record that it found',
    statement: 'undoClaim',
    replace: 'case when r.previous = 0 then 0 else r.expires_at - r.lease_until end',
    by: '0',
    caughtBy: 'release: forgotten over a released record, it is released again as it was',
  },
  {
    fault: 'a step replaces those before it',
    statement: 'saveStep',
    replace: `concat(coalesce(r.steps, ''), ?)`,
    by: '?',
    caughtBy: 'steps: they come back in the order of their first saving, and one saved again keeps its place',
  },
  {
    fault: 'a search takes the prefix for a pattern',
    statement: 'find',
    replace: 'r.id like ?',
    by: `r.id like replace(?, '\\\\', '')`,
    caughtBy: 'find: wildcard characters in the prefix stand for themselves',
  },
  {
    fault: 'a purge knows no limit',
    statement: 'purge',
    replace: 'limit ?',
    by: 'limit 1000',
    caughtBy: 'purge: removes no more than its limit at a time, answers how many, and comes to an end',
  },
];

/** Memory is fast: here every racer has looked before the first one decides. */
function slow(name: string, sql: string): string {
  if (name === 'claim') return sql.replace('if free is null then', 'do sleep(0.02); $&');
  return name === 'look' ? sql.replace('limit 1) w', 'and sleep(0.02) = 0 $&') : sql;
}

async function expectCaught(claim: 'MariaDB' | 'MySQL', fault: Fault): Promise<void> {
  let changed = false;
  const faulty = await open(claim, (name, sql) => {
    if (name !== fault.statement) return slow(name, sql);
    const other = sql.replace(fault.replace, fault.by);
    changed ||= other !== sql;
    return slow(name, other);
  });
  expect(await verdict(fault.caughtBy, await open(claim, slow))).toBeUndefined();
  const found = await verdict(fault.caughtBy, faulty).catch((error: Error) => error.message);
  expect(changed).toBe(true);
  expect(found).toBeDefined();
}

describe('the contract catches SQL for MariaDB in which', () => {
  it.each([...CLAIM_FAULTS, ...FAULTS])('$fault', (fault) => expectCaught('MariaDB', fault), 20_000);
});

describe('the contract catches SQL for MySQL in which', () => {
  it.each(MYSQL_FAULTS)('$fault', (fault) => expectCaught('MySQL', fault), 20_000);
});

describe('the check of renewals beside a locked row', () => {
  const LOCK = 'select id from idempotency_records where id = ? for update';

  it.each([
    ['a plain UPDATE', 'for update skip locked', ''],
    ['a derived table that the server dissolves', 'limit 18446744073709551615 for update skip locked', ''],
  ])('passes the storage and catches %s', async (_, replace, by) => {
    await renewsBesideLockedRow(await open('MariaDB'), dataSource, LOCK);
    const waiting = await open('MariaDB', (name, sql) => (name === 'renew' ? sql.replace(replace, by) : sql));
    await expect(renewsBesideLockedRow(waiting, dataSource, LOCK)).rejects.toThrow();
  });
});
