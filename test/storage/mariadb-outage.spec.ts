import { describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { ControlConnections } from '../../libs/idempotency/src/typeorm/mariadb/control-connections.js';
import {
  MOST_WAITING,
  type MariaDbOptions,
} from '../../libs/idempotency/src/typeorm/mariadb/control-options.js';
import { storageOver, useMariaDb } from '../support/mariadb-fixture.js';
import { claimRequest, eventually, newClaim } from '../support/postgres-fixture.js';

const HOUR_MS = 3_600_000;
const settings = { size: 2, preparedStatements: false };
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

  it('stands still, it has no waiter for every call of a long outage: beyond a bound they are refused at once', async () => {
    const dataSource = await mariaDb.migrated();
    const connections = await ControlConnections.open(dataSource.options as MariaDbOptions, settings);
    const ask = () => connections.query({ name: 'ask', sql: 'select 1 as one' }, []);
    await ask();
    mariaDb.server.pause();
    try {
      const start = performance.now();
      const refused: number[] = [];
      const calls = Array.from({ length: MOST_WAITING + 100 }, () =>
        ask().catch((error: unknown) => {
          refused.push(performance.now() - start);
          throw error;
        }),
      );
      const outcomes = Promise.allSettled(calls);
      await eventually(() => expect(refused.length).toBeGreaterThanOrEqual(90));
      expect(refused.length).toBeLessThanOrEqual(100);
      expect(Math.max(...refused)).toBeLessThan(4000);
      for (const call of await outcomes)
        expect(call).toMatchObject({ reason: { code: 'storage-unavailable' } });
    } finally {
      mariaDb.server.resume();
    }
    await eventually(async () => expect((await ask()).rows).toHaveLength(1));
    await connections.close();
  }, 30_000);

  it('ends the connection after a claim has changed the row, the same claim asks again and has it', async () => {
    const dataSource = await mariaDb.migrated();
    const user = 'cut_off';
    await dataSource.query(`create user ${user}`);
    await dataSource.query(`grant all on *.* to ${user}`);
    const theirs = { options: { ...dataSource.options, username: user } } as DataSource;
    const slow = await storageOver(theirs, 'MariaDB', (name, sql) =>
      name === 'claim' ? sql.replace('if changed > 0 then', 'do sleep(1); $&') : sql,
    );
    await slow.start?.();
    const storage = await mariaDb.storage({ dataSource });
    try {
      const { id, request, claim } = newClaim();
      const cut = expect(slow.claim(id, request)).rejects.toBeInstanceOf(StorageUnavailableError);
      await eventually(async () => expect(await storage.get(id)).toMatchObject({ attempt: 1 }));
      await mariaDb.server.asRoot((root) => root.query(`kill hard user ${user}`));
      await cut;
      expect(await storage.claim(id, claimRequest())).toMatchObject({ kind: 'in_progress' });
      expect(await storage.claim(id, request)).toMatchObject({
        kind: 'claimed',
        attempt: 1,
        previous: 'none',
      });
      expect(await storage.complete(claim, Buffer.from('done'), HOUR_MS)).toBe('applied');
    } finally {
      await slow.stop?.();
    }
  });

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
