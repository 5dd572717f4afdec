import { beforeAll, describe, expect, it } from '@jest/globals';
import { AssertionError } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { storageContract } from '../../libs/idempotency/src/testing/index.js';
import type { StatementName } from '../../libs/idempotency/src/typeorm/postgres/postgres-records.js';
import { connectionsInTransactions, plainConnections, storageWithSql } from '../support/faulty-sql.js';
import { renewsBesideLockedRow } from '../support/locked-row.js';
import { usePostgres } from '../support/postgres-fixture.js';

const postgres = usePostgres();
let dataSource: DataSource;

beforeAll(async () => {
  dataSource = await postgres.migrated({ poolSize: 20 });
  // It would stop some of the faults before the contract does.
  await dataSource.query('alter table idempotency_records drop constraint idempotency_records_state');
});

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
      // A fault that PostgreSQL refuses to run would prove nothing.
      if (!(error instanceof AssertionError)) throw error;
      return error.message;
    },
  );
}

interface Fault {
  readonly fault: string;
  readonly statement: StatementName;
  readonly replace: string | RegExp;
  readonly by: string;
  readonly caughtBy: string;
}

const FAULTS: readonly Fault[] = [
  {
    fault: 'a claim of another fingerprint takes over',
    statement: 'claim',
    replace: /r\.fingerprint = \$2 and/g,
    by: '$2 = $2 and',
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
    replace: /r\.owner = \$3::uuid or /g,
    by: '',
    caughtBy: 'claim: the same owner token is claimed again with the same attempt, previous and steps',
  },
  {
    fault: 'a claim does not look again after it has waited for a racer',
    statement: 'claim',
    replace: /where \(r\.expires_at <= excluded[\s\S]*?returning/,
    by: 'returning',
    caughtBy: 'claim: of 50 racers over two instances one wins, and the losers see its fingerprint',
  },
  {
    fault: 'a claim keeps the steps of a record past its keeping time',
    statement: 'claim',
    replace: /steps = case when .* then null else r\.steps end/,
    by: 'steps = r.steps',
    caughtBy: 'keeping: a result past its ttl is absent before it is purged',
  },
  {
    fault: 'a renewal does not check the owner',
    statement: 'renew',
    replace: /and r\.owner = a\.owner/g,
    by: '',
    caughtBy: 'renew: a past owner changes nothing',
  },
  {
    fault: 'a renewal forgets the keeping time',
    statement: 'renew',
    replace: ' + (r.expires_at - r.lease_until)',
    by: '',
    caughtBy: 'renew: a record outlives its renewed lease by keepMs',
  },
  {
    fault: 'a renewal answers in the order of the index',
    statement: 'renew',
    replace: 'order by a.place',
    by: 'order by r.id, a.place desc',
    caughtBy: 'renew: many claims in one call are answered in their order, lost ones among them',
  },
  {
    fault: 'a completion does not check the owner',
    statement: 'complete',
    replace: 'r.owner = $2::uuid',
    by: '$2::uuid is not null',
    caughtBy: 'complete: a past owner changes nothing',
  },
  {
    fault: 'a completion asks whether the lease still runs',
    statement: 'complete',
    replace: 'where ',
    by: 'where r.lease_until > clock_timestamp() and ',
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
    fault: 'a forgotten claim removes the record that it found',
    statement: 'undoClaim',
    replace: 'r.previous = 0',
    by: 'true',
    caughtBy: 'release: forgotten over a released record, it is released again as it was',
  },
  {
    fault: 'a step replaces those before it',
    statement: 'saveStep',
    replace: `coalesce(r.steps, '') || $3::bytea`,
    by: '$3::bytea',
    caughtBy: 'steps: they come back in the order of their first saving, and one saved again keeps its place',
  },
  {
    fault: 'a search takes the prefix for a pattern',
    statement: 'find',
    replace: 'r.id like $2',
    by: `r.id like replace($2, '\\', '')`,
    caughtBy: 'find: wildcard characters in the prefix stand for themselves',
  },
  {
    fault: 'a purge knows no limit',
    statement: 'purge',
    replace: 'limit $1::bigint',
    by: 'limit $1::bigint + 1000',
    caughtBy: 'purge: removes no more than its limit at a time, answers how many, and comes to an end',
  },
];

/** On a disk a commit takes its time. Here every racer's snapshot must be older than the first commit all the same. */
function slow(name: string, sql: string): string {
  return name === 'claim' ? sql.replace('from clock_timestamp() as now', '$&, pg_sleep(0.01)') : sql;
}

describe('the contract catches SQL in which', () => {
  it.each(FAULTS)('$fault', async ({ statement, replace, by, caughtBy }) => {
    let changed = false;
    const connections = plainConnections(dataSource);
    const faulty = await storageWithSql(connections, (name, sql) => {
      if (name !== statement) return sql;
      const other = sql.replace(replace, by);
      changed = other !== sql;
      return slow(name, other);
    });
    expect(await verdict(caughtBy, await storageWithSql(connections, slow))).toBeUndefined();
    expect(await verdict(caughtBy, faulty)).toBeDefined();
    expect(changed).toBe(true);
  });

  it('the time is that of the start of the transaction, where one is open', async () => {
    const clauses = [
      'claim: after a quiet time the lease counts from now',
      'keeping: the ttl counts from the completion, not from the claim',
      'renew: the new lease counts from now, and nobody takes over meanwhile',
    ];
    const connections = await connectionsInTransactions(dataSource);
    const peer = await storageWithSql(plainConnections(dataSource));
    const sound = await storageWithSql(connections);
    const faulty = await storageWithSql(connections, (_, sql) =>
      sql.replaceAll('clock_timestamp()', 'now()').replace('from now() as now', 'from (select now()) t'),
    );
    for (const clause of clauses) {
      expect(await verdict(clause, sound, peer)).toBeUndefined();
      expect(await verdict(clause, faulty, peer)).toMatch(/ms are left|the age is/);
    }
    await connections.close();
  });

  it('a claim inserts first and reads afterwards what its snapshot shows', async () => {
    const insertFirst = (name: string, sql: string) =>
      slow(name, sql)
        .replace('where not exists (select from found) or exists (select from locked)', '')
        .replace('select false, claimable,', 'select false, false,');
    const connections = plainConnections(dataSource);
    for (const clause of [
      'lease: of 50 racers over one that ran out one wins, and the losers see it running',
      'release: of 50 racers over a released record one wins, and the losers see it running',
    ]) {
      expect(await verdict(clause, await storageWithSql(connections, slow))).toBeUndefined();
      expect(await verdict(clause, await storageWithSql(connections, insertFirst))).toMatch(
        /a loser sees the lease that had ended/,
      );
    }
  });

  it('ids are compared as a language does', async () => {
    const clause = 'isolation: ids are compared byte for byte';
    const other = await postgres.migrated();
    expect(await verdict(clause, await storageWithSql(plainConnections(other)))).toBeUndefined();
    await other.query('truncate idempotency_records');
    await other.query(
      `create collation loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)`,
    );
    await other.query('alter table idempotency_records alter id type text collate loose');
    expect(await verdict(clause, await storageWithSql(plainConnections(other)))).toBeDefined();
  });
});

describe('the check of renewals beside a locked row', () => {
  it('passes the storage and catches a plain UPDATE', async () => {
    const connections = plainConnections(dataSource);
    await renewsBesideLockedRow(await storageWithSql(connections), dataSource);
    const waiting = await storageWithSql(connections, (name, sql) =>
      name === 'renew' ? sql.replace('for no key update of r skip locked', '') : sql,
    );
    await dataSource.query(
      `alter database "${String(dataSource.options.database)}" set lock_timeout to '2s'`,
    );
    await expect(renewsBesideLockedRow(waiting, await reopened())).rejects.toThrow();
  });

  /** With a limit on waiting for locks, so that the test ends. */
  async function reopened(): Promise<DataSource> {
    await dataSource.destroy();
    return dataSource.initialize();
  }
});
