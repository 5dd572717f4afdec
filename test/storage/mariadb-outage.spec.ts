import { describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { claimRequest, eventually, newClaim } from '../support/postgres-fixture.js';

const HOUR_MS = 3_600_000;
const mariaDb = useMariaDb();

describe('when MariaDB', () => {
  it('stands still, calls end after seconds with their connections, and it answers again when it goes on', async () => {
    const storage = await mariaDb.storage({ dataSource: await mariaDb.migrated() });
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    mariaDb.server.pause();
    try {
      const start = performance.now();
      const calls = await Promise.allSettled([
        storage.renew([{ claim, leaseMs: HOUR_MS }]),
        storage.complete(claim, Buffer.from('done'), HOUR_MS),
        ...Array.from({ length: 6 }, () => storage.claim(newClaim().id, claimRequest())),
      ]);
      // Two hold the connections for 6 s, the others wait 5 s for one.
      expect(performance.now() - start).toBeLessThan(9000);
      for (const call of calls) expect(call).toMatchObject({ reason: { code: 'storage-unavailable' } });
      // New connections are accepted by the kernel, and nobody greets.
      await expect(storage.get(id)).rejects.toBeInstanceOf(StorageUnavailableError);
    } finally {
      mariaDb.server.resume();
    }
    await eventually(async () =>
      expect(await storage.renew([{ claim, leaseMs: HOUR_MS }])).toEqual(['applied']),
    );
    expect(await storage.complete(claim, Buffer.from('done'), HOUR_MS)).toBe('applied');
  }, 30_000);

  it('stands still, stop ends all the same and leaves no socket open', async () => {
    const dataSource = await mariaDb.migrated();
    const before = openSockets();
    const storage = await mariaDb.storage({ dataSource });
    // Of its two connections one will be waiting for an answer, and one be idle.
    await Promise.all([1, 2].map(() => storage.claim(newClaim().id, claimRequest())));
    expect(openSockets()).toBe(before + 2);
    mariaDb.server.pause();
    try {
      const call = storage.claim(newClaim().id, claimRequest()).catch((error: unknown) => error);
      await sleep(50);
      const start = performance.now();
      await storage.stop?.();
      expect(performance.now() - start).toBeLessThan(9000);
      expect(await call).toBeInstanceOf(StorageUnavailableError);
      await eventually(() => expect(openSockets()).toBe(before));
    } finally {
      mariaDb.server.resume();
    }
  }, 20_000);

  it('works on a schema change, calls end after a second and work again afterwards', async () => {
    const dataSource = await mariaDb.migrated();
    const storage = await mariaDb.storage({ dataSource });
    const runner = dataSource.createQueryRunner();
    await runner.query('lock tables idempotency_records write');
    const start = performance.now();
    await expect(storage.claim(newClaim().id, claimRequest())).rejects.toThrow(
      /MariaDB did not answer `claim`.*Lock wait timeout/,
    );
    expect(performance.now() - start).toBeLessThan(3000);
    await runner.query('unlock tables');
    await runner.release();
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  });

  it('dies, calls say so at once; when it is there again the storage finds what it had, by itself', async () => {
    const dataSource = await mariaDb.migrated();
    const storage = await mariaDb.storage({ dataSource });
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('done'), HOUR_MS);
    // Its log is written once a second here.
    await sleep(1500);
    await mariaDb.server.kill();
    const start = performance.now();
    const calls = await Promise.allSettled(
      Array.from({ length: 10 }, () => storage.claim(id, claimRequest())),
    );
    expect(performance.now() - start).toBeLessThan(2000);
    for (const call of calls) expect(call).toMatchObject({ reason: { code: 'storage-unavailable' } });
    await mariaDb.server.restart();
    await eventually(async () =>
      expect(await storage.claim(id, claimRequest())).toMatchObject({ kind: 'completed' }),
    );
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  }, 30_000);
});

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
}
