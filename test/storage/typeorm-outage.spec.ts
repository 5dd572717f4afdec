import { describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { typeOrmStorage } from '../../libs/idempotency/src/typeorm/index.js';
import { claimRequest, newClaim, usePostgres } from '../support/postgres-fixture.js';
import { startPostgres } from '../support/postgres-server.js';

const HOUR_MS = 3_600_000;
const postgres = usePostgres();

describe('when PostgreSQL', () => {
  it('stands still, calls end after seconds with their connections, and it answers again when it goes on', async () => {
    const dataSource = await postgres.migrated();
    const storage = await postgres.storage({ dataSource });
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    postgres.server.pause();
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
    } finally {
      postgres.server.resume();
    }
    expect(await storage.renew([{ claim, leaseMs: HOUR_MS }])).toEqual(['applied']);
    expect(await storage.complete(claim, Buffer.from('done'), HOUR_MS)).toBe('applied');
  }, 20_000);

  it('stands still, stop ends all the same', async () => {
    const dataSource = await postgres.migrated();
    const storage = await postgres.storage({ dataSource });
    postgres.server.pause();
    try {
      const call = storage.claim(newClaim().id, claimRequest()).catch((error: unknown) => error);
      await sleep(50);
      const start = performance.now();
      await storage.stop?.();
      expect(performance.now() - start).toBeLessThan(9000);
      expect(await call).toBeInstanceOf(StorageUnavailableError);
    } finally {
      postgres.server.resume();
    }
  }, 20_000);

  it('works on a schema change, calls end after a second and work again afterwards', async () => {
    const dataSource = await postgres.migrated();
    const storage = await postgres.storage({ dataSource });
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction();
    await runner.query('alter table idempotency_records add extra integer');
    const start = performance.now();
    await expect(storage.claim(newClaim().id, claimRequest())).rejects.toThrow(
      /did not answer `claim`.*lock timeout/,
    );
    expect(performance.now() - start).toBeLessThan(3000);
    await runner.commitTransaction();
    await runner.release();
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  });

  it('is gone, calls say so at once, and so does start', async () => {
    const server = await startPostgres();
    const address = await server.createDatabase('gone');
    const dataSource = await postgres.migrated();
    const { options } = dataSource;
    const elsewhere = { isInitialized: true, options: { ...options, ...address }, hasMetadata: () => false };
    const storage = typeOrmStorage({ dataSource: elsewhere as never, purgeEvery: false });
    await dataSource.query('select 1');
    await server.stop();
    const error = await Promise.resolve(storage.start?.()).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StorageUnavailableError);
    expect((error as Error).message).toMatch(/did not answer the connection: .*ECONNREFUSED/);
  });
});
