import { beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { purge } from '../../libs/idempotency/src/typeorm/postgres/statements.js';
import { workOnTheSameRecords } from '../support/busy-records.js';
import { eventually, holdLock, listeningHost, newClaim, usePostgres } from '../support/postgres-fixture.js';

const postgres = usePostgres({ args: ['-c', 'log_statement=all', '-c', 'log_line_prefix=%a|%d|'] });
let dataSource: DataSource;

beforeEach(async () => {
  dataSource = await postgres.migrated();
});

async function addRecords(prefix: string, count: number, expiresIn: string): Promise<void> {
  await dataSource.query(
    `insert into idempotency_records (id, state, attempt, previous, owner, fingerprint, created_at, lease_until, expires_at, result)
     select $1 || '-' || i, 1, 1, 0, md5(i::text)::uuid, 'fp', now(), now(), now() + $3::interval, '' from generate_series(1, $2) i`,
    [prefix, count, expiresIn],
  );
}

async function countRecords(): Promise<number> {
  const [row] = await dataSource.query('select count(*)::int as count from idempotency_records');
  return row.count;
}

function purgeStatements(): number {
  const database = String(dataSource.options.database);
  return postgres.server
    .log()
    .split('\n')
    .filter((line) => line.includes(`|${database}|`) && line.includes('delete from')).length;
}

describe('purging expired records', () => {
  it('takes them in bounded batches, and two instances at once take each of them once', async () => {
    const [first, second] = [await postgres.storage({ dataSource }), await postgres.storage({ dataSource })];
    await addRecords('over', 2600, '-1 s');
    await addRecords('kept', 50, '1 h');
    const counts: number[] = [];
    const purgeAll = async (storage: typeof first) => {
      for (let count = 1; count > 0;) counts.push((count = await storage.purgeExpired(300)));
    };
    await Promise.all([purgeAll(first), purgeAll(second), purgeAll(first), purgeAll(second)]);
    expect(Math.max(...counts)).toBe(300);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2600);
    expect(await countRecords()).toBe(50);
  });

  it('finds them by the index, however many others there are', async () => {
    await addRecords('kept', 20_000, '1 h');
    await addRecords('over', 10, '-1 s');
    await dataSource.query('analyze idempotency_records');
    const runner = dataSource.createQueryRunner();
    await runner.query('set plan_cache_mode = force_generic_plan');
    await runner.query(`prepare purge as ${purge('idempotency_records')}`);
    const plan: Record<string, string>[] = await runner.query(
      'explain (analyze, costs off, timing off) execute purge(500)',
    );
    await runner.release();
    const text = plan.map((row) => row['QUERY PLAN']).join('\n');
    expect(text).toMatch(/Index Scan using idempotency_records_expires_at/);
    expect(text).toMatch(/Index Cond: \(expires_at <=/);
    expect(text).not.toMatch(/Seq Scan on idempotency_records/);
  });

  it('happens by itself every `purgeEvery`, past what others have locked, and ends with stop', async () => {
    await addRecords('over', 1200, '-1 s');
    await addRecords('locked', 1, '-1 s');
    const lock = await holdLock(
      dataSource,
      `select from idempotency_records where id = 'locked-1' for update`,
      [],
    );
    const storage = await postgres.storage({ dataSource, purgeEvery: '100ms' });
    await eventually(async () => expect(await countRecords()).toBe(1));
    expect(purgeStatements()).toBeGreaterThanOrEqual(3);
    await lock.end();
    await eventually(async () => expect(await countRecords()).toBe(0));
    await storage.stop?.();
    const after = purgeStatements();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(purgeStatements()).toBe(after);
  });

  it('leaves requests a connection while it goes on', async () => {
    await addRecords('over', 6000, '-1 s');
    const storage = await postgres.storage({ dataSource, purgeEvery: '1ms', controlConnections: 1 });
    const { id, request } = newClaim();
    expect(await storage.claim(id, request)).toMatchObject({ kind: 'claimed' });
    expect(await countRecords()).toBeGreaterThan(1);
    await storage.stop?.();
  });

  it('that fails is told to the operator, and the next round comes all the same', async () => {
    const host = listeningHost();
    const storage = await postgres.storage({ dataSource, purgeEvery: '50ms' }, host);
    await dataSource.query('alter table idempotency_records rename to away');
    await eventually(() => expect(host.warnings.length).toBeGreaterThan(0));
    expect(host.warnings[0]).toMatch(/^typeOrmStorage: expired records could not be removed.*does not exist/);
    await dataSource.query('alter table away rename to idempotency_records');
    await addRecords('over', 10, '-1 s');
    await eventually(async () => expect(await countRecords()).toBe(0));
    await storage.stop?.();
  });

  it('and claims, completions and removals of the same records end without a deadlock that anybody sees', async () => {
    await workOnTheSameRecords([
      await postgres.storage({ dataSource }),
      await postgres.storage({ dataSource }),
    ]);
  }, 120_000);
});
