import { beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { workOnTheSameRecords } from '../support/busy-records.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { eventually, holdLock, listeningHost, newClaim } from '../support/postgres-fixture.js';

const mariaDb = useMariaDb();
let dataSource: DataSource;

beforeEach(async () => {
  dataSource = await mariaDb.migrated();
});

async function addRecords(prefix: string, count: number, expiresInMs: number): Promise<void> {
  await dataSource.query(
    `insert into idempotency_records (id, state, attempt, previous, owner, fingerprint, created_at, lease_until, expires_at, result)
     select concat(?, '-', seq), 1, 1, 0, uuid(), 'fp', 0, 0, floor(unix_timestamp(now(6)) * 1000) + ?, '' from seq_1_to_${count}`,
    [prefix, expiresInMs],
  );
}

async function countRecords(): Promise<number> {
  const [row] = await dataSource.query('select count(*) as count from idempotency_records');
  return Number(row.count);
}

describe('purging expired records on MariaDB', () => {
  it('takes them in bounded batches, and two instances at once take each of them once', async () => {
    const [first, second] = [await mariaDb.storage({ dataSource }), await mariaDb.storage({ dataSource })];
    await addRecords('over', 2600, -1000);
    await addRecords('kept', 50, 3_600_000);
    const counts: number[] = [];
    const purgeAll = async (storage: typeof first) => {
      for (let count = 1; count > 0;) counts.push((count = await storage.purgeExpired(300)));
    };
    await Promise.all([purgeAll(first), purgeAll(second), purgeAll(first), purgeAll(second)]);
    expect(Math.max(...counts)).toBe(300);
    // One that met the others' locks everywhere may have ended early.
    for (const storage of [first, second]) await purgeAll(storage);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2600);
    expect(await countRecords()).toBe(50);
  });

  it('happens by itself every `purgeEvery`, past what others have locked, and ends with stop', async () => {
    await addRecords('over', 1200, -1000);
    await addRecords('locked', 1, -1000);
    const lock = await holdLock(
      dataSource,
      `select id from idempotency_records where id = 'locked-1' for update`,
      [],
    );
    const storage = await mariaDb.storage({ dataSource, purgeEvery: '100ms' });
    await eventually(async () => expect(await countRecords()).toBe(1));
    await lock.end();
    await eventually(async () => expect(await countRecords()).toBe(0));
    await storage.stop?.();
    await addRecords('late', 1, -1000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await countRecords()).toBe(1);
  });

  it('leaves requests a connection while it goes on', async () => {
    await addRecords('over', 6000, -1000);
    const storage = await mariaDb.storage({ dataSource, purgeEvery: '1ms', controlConnections: 1 });
    const { id, request } = newClaim();
    expect(await storage.claim(id, request)).toMatchObject({ kind: 'claimed' });
    expect(await countRecords()).toBeGreaterThan(1);
    await storage.stop?.();
  });

  it('that fails is told to the operator, and the next round comes all the same', async () => {
    const host = listeningHost();
    const storage = await mariaDb.storage({ dataSource, purgeEvery: '50ms' }, host);
    await dataSource.query('rename table idempotency_records to away');
    await eventually(() => expect(host.warnings.length).toBeGreaterThan(0));
    expect(host.warnings[0]).toMatch(/^typeOrmStorage: expired records could not be removed.*doesn't exist/);
    await dataSource.query('rename table away to idempotency_records');
    await addRecords('over', 10, -1000);
    await eventually(async () => expect(await countRecords()).toBe(0));
    await storage.stop?.();
  });

  it('and claims, completions and removals of the same records end without a deadlock that anybody sees', async () => {
    await workOnTheSameRecords([
      await mariaDb.storage({ dataSource }),
      await mariaDb.storage({ dataSource }),
    ]);
  }, 120_000);
});
