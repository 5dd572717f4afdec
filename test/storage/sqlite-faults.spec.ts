import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AssertionError } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { storageContract } from '../../libs/idempotency/src/testing/index.js';
import type { SqliteConnection } from '../../libs/idempotency/src/typeorm/sqlite/sqlite-connection.js';
import type { StatementName } from '../../libs/idempotency/src/typeorm/sqlite/sqlite-records.js';
import { openConnection, storageWithSql } from '../support/sqlite-faulty-sql.js';
import { useSqlite } from '../support/sqlite-fixture.js';

const sqlite = useSqlite();
let dataSource: DataSource;
let connection: SqliteConnection;

beforeAll(async () => {
  dataSource = await sqlite.migrated({ prepareDatabase: withoutChecks });
  connection = await openConnection(dataSource);
});

afterAll(() => connection.close());

/** The check of the table would stop some of the faults before the contract does. */
function withoutChecks(client: { pragma(text: string): unknown }): void {
  client.pragma('ignore_check_constraints = on');
}

/** Runs a clause over two instances; resolves with what it found wrong, if anything. */
async function verdict(
  clause: string,
  storage: IdempotencyStorage,
  peer = storage,
): Promise<string | undefined> {
  const found = storageContract.find(({ name }) => name === clause);
  if (found === undefined) throw new Error(`There is no clause "${clause}".`);
  return found.run({ storage, openPeer: async () => peer, advance: (ms) => sleep(ms) }).then(
    () => undefined,
    (error: Error) => {
      // A fault that SQLite refuses to run would prove nothing.
      if (!(error instanceof AssertionError)) throw error;
      return error.message;
    },
  );
}

interface Fault {
  readonly fault: string;
  readonly statements: readonly StatementName[];
  readonly replace: string | RegExp;
  readonly by: string;
  readonly caughtBy: string;
}

const FAULTS: readonly Fault[] = [
  {
    fault: 'a claim of another fingerprint takes over',
    statements: ['look', 'claim'],
    replace: 'r.fingerprint = $2 and',
    by: '',
    caughtBy: 'claim: another fingerprint never claims a record whose lease ended',
  },
  {
    fault: 'a claim takes over whether it may or not',
    statements: ['look', 'claim'],
    replace: '$6 and',
    by: '',
    caughtBy: 'lease: with takeOver false one that ran out is reported as abandoned and nothing changes',
  },
  {
    fault: 'a claim looks at the lease of a released record',
    statements: ['look'],
    replace: 'r.owner is null or ',
    by: '',
    caughtBy: 'lease: with takeOver false a released record is claimed as usual',
  },
  {
    fault: 'a claim asks only whether its owner is another',
    statements: ['look'],
    replace: 'r.owner = $3 or ',
    by: '',
    caughtBy: 'claim: the same owner token is claimed again with the same attempt, previous and steps',
  },
  {
    fault: 'a claim does not look again when it has the lock',
    statements: ['claim'],
    replace: /where \(r\.expires_at <= excluded[\s\S]*?returning/,
    by: 'where true returning',
    caughtBy: 'claim: of 50 racers over two instances one wins, and the losers see its fingerprint',
  },
  {
    fault: 'a claim keeps the steps of a record past its keeping time',
    statements: ['claim'],
    replace: /steps = case when .* then null else r\.steps end/,
    by: 'steps = r.steps',
    caughtBy: 'keeping: a result past its ttl is absent before it is purged',
  },
  {
    fault: 'a renewal does not check the owner',
    statements: ['renew'],
    replace: 'and r.owner = $2',
    by: 'and $2 is not null',
    caughtBy: 'renew: a past owner changes nothing',
  },
  {
    fault: 'a renewal forgets the keeping time',
    statements: ['renew'],
    replace: ' + (r.expires_at - r.lease_until)',
    by: '',
    caughtBy: 'renew: a record outlives its renewed lease by keepMs',
  },
  {
    fault: 'a renewal alters what is completed',
    statements: ['renew'],
    replace: /case when r\.state = 0 then (.*) else r\.\w+ end/g,
    by: '$1',
    caughtBy: 'renew: a completed record keeps its result and its time',
  },
  {
    fault: 'a completion does not check the owner',
    statements: ['complete'],
    replace: 'r.owner = $2',
    by: '$2 is not null',
    caughtBy: 'complete: a past owner changes nothing',
  },
  {
    fault: 'a completion asks whether the lease still runs',
    statements: ['complete'],
    replace: 'where ',
    by: `where r.lease_until > unixepoch('subsec') * 1000 and `,
    caughtBy: 'complete: the owner token decides, not the time',
  },
  {
    fault: 'a completion works once',
    statements: ['complete'],
    replace: 'r.state in (0, 1)',
    by: 'r.state = 0',
    caughtBy: 'complete: again by the same owner is applied again',
  },
  {
    fault: 'a release does not check the state',
    statements: ['release'],
    replace: 'r.state = 0',
    by: 'r.state in (0, 1)',
    caughtBy: 'release: a completed record stays, also for its own owner',
  },
  {
    fault: 'a forgotten claim removes the record that it found',
    statements: ['undoClaim'],
    replace: 'r.previous = 0',
    by: 'true',
    caughtBy: 'release: forgotten over a released record, it is released again as it was',
  },
  {
    fault: 'a forgotten claim leaves its steps',
    statements: ['restore'],
    replace: /steps = substr\(.*\)/,
    by: 'steps = r.steps',
    caughtBy: 'release: forgotten over a released record, it is released again as it was',
  },
  {
    fault: 'a step replaces those before it',
    statements: ['saveStep'],
    replace: `coalesce(r.steps, x'') || $3`,
    by: '$3',
    caughtBy: 'steps: they come back in the order of their first saving, and one saved again keeps its place',
  },
  {
    fault: 'a search takes the prefix for a pattern',
    statements: ['find'],
    replace: /r\.id >= \$2 and r\.id < cast\(\$3 as text\)/,
    by: `r.id like $2 || '%' and $3 is not null`,
    caughtBy: 'find: wildcard characters in the prefix stand for themselves',
  },
  {
    fault: 'a search reads a page from the end',
    statements: ['find'],
    replace: 'order by r.id limit',
    by: 'order by r.id desc limit',
    caughtBy: 'find: yields each of many records once, also while others come and go',
  },
  {
    fault: 'a purge removes what is alive',
    statements: ['purge'],
    replace: /where r\.expires_at <= .* order/,
    by: 'where true order',
    caughtBy: 'purge: removes only records past their keeping time',
  },
  {
    fault: 'a purge knows no limit',
    statements: ['purge'],
    replace: 'limit $1',
    by: 'limit $1 + 1000',
    caughtBy: 'purge: removes no more than its limit at a time, answers how many, and comes to an end',
  },
];

describe('on SQLite the contract catches SQL in which', () => {
  it.each(FAULTS)('$fault', async ({ statements, replace, by, caughtBy }) => {
    const changed = new Set<string>();
    const faulty = await storageWithSql(connection, (name, sql) => {
      const other = statements.includes(name) ? sql.replace(replace, by) : sql;
      if (other !== sql) changed.add(name);
      return other;
    });
    expect(await verdict(caughtBy, await storageWithSql(connection))).toBeUndefined();
    expect(await verdict(caughtBy, faulty)).toBeDefined();
    expect([...changed]).toEqual(expect.arrayContaining([...statements]));
  });

  it('ids are compared without regard to case', async () => {
    const clause = 'isolation: ids are compared byte for byte';
    const other = await sqlite.empty();
    await other.query(`create table idempotency_records (id text collate nocase primary key not null, state integer not null,
      attempt integer, previous integer, owner text, owner_found text, fingerprint text, created_at integer,
      lease_until integer, expires_at integer, steps_found integer, steps blob, result blob)`);
    const loose = await openConnection(other);
    expect(await verdict(clause, await storageWithSql(connection))).toBeUndefined();
    expect(await verdict(clause, await storageWithSql(loose))).toBeDefined();
    await loose.close();
  });
});
