import { beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { claimRequest, newClaim } from '../support/postgres-fixture.js';
import { useSqlite } from '../support/sqlite-fixture.js';
import { holdSqliteLock, watchEventLoop } from '../support/sqlite-lock.js';

const HOUR_MS = 3_600_000;
const sqlite = useSqlite();

describe('two processes on one SQLite file', () => {
  let dataSource: DataSource;
  let storage: IdempotencyStorage;
  let peer: IdempotencyStorage;
  beforeAll(async () => {
    dataSource = await sqlite.migrated();
    storage = await sqlite.storage({ dataSource });
    peer = (await sqlite.peer(dataSource)).storage;
  });

  const race = async (id: string, racers: number) => {
    const outcomes = await Promise.all(
      [storage, peer].map((process) =>
        Promise.all(
          Array.from({ length: racers }, () =>
            process.claim(id, claimRequest({ fingerprint: randomUUID() })),
          ),
        ),
      ),
    );
    const winners = outcomes.map((ours) => ours.filter(({ kind }) => kind === 'claimed').length);
    const seen = new Set(
      outcomes.flat().flatMap((one) => (one.kind === 'in_progress' ? one.fingerprint : [])),
    );
    return { winners, fingerprintsSeen: seen.size };
  };

  it('have one winner for each of 200 keys with 50 racers in each process, and both win some', async () => {
    const total = [0, 0];
    for (let round = 0; round < 20; round += 1) {
      const races = await Promise.all(Array.from({ length: 10 }, () => race(newClaim().id, 50)));
      for (const { winners, fingerprintsSeen } of races) {
        expect([...winners].sort()).toEqual([0, 1]);
        expect(fingerprintsSeen).toBe(1);
        winners.forEach((count, place) => (total[place] = (total[place] ?? 0) + count));
      }
    }
    expect(total[0]! + total[1]!).toBe(200);
    expect(Math.min(...total)).toBeGreaterThan(0);
  }, 120_000);

  it('have one winner for each of 50 expired leases with 50 racers in each process', async () => {
    const ids = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const { id, request } = newClaim({ leaseMs: 1 });
        await storage.claim(id, request);
        return id;
      }),
    );
    await sleep(20);
    for (let at = 0; at < ids.length; at += 10) {
      const outcomes = await Promise.all(
        ids.slice(at, at + 10).flatMap((id) =>
          [storage, peer].flatMap((process) =>
            Array.from({ length: 50 }, async () => ({
              id,
              outcome: await process.claim(id, claimRequest()),
            })),
          ),
        ),
      );
      const won = outcomes.filter(({ outcome }) => outcome.kind === 'claimed');
      expect(won.map(({ id }) => id).sort()).toEqual(ids.slice(at, at + 10).sort());
      for (const { outcome } of won) expect(outcome).toMatchObject({ attempt: 2, previous: 'expired' });
    }
  }, 60_000);

  it('remove each expired record once when both purge', async () => {
    for (let index = 0; index < 400; index += 1) {
      const { id, request } = newClaim({ leaseMs: 1, keepMs: 1 });
      await storage.claim(id, request);
    }
    await sleep(20);
    const counts = await Promise.all(
      Array.from({ length: 10 }, (_, turn) => (turn % 2 ? peer : storage).purgeExpired(50)),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(400);
  });
});

describe('a process that is killed while it writes to a SQLite file', () => {
  it('leaves a sound file, in which all that it was told is stored, and others go on', async () => {
    const dataSource = await sqlite.migrated();
    const storage = await sqlite.storage({ dataSource });
    for (let kill = 0; kill < 3; kill += 1) {
      const peer = await sqlite.peer(dataSource);
      const completed: string[] = [];
      const stepped: string[] = [];
      const work = async () => {
        for (;;) {
          const { id, request, claim } = newClaim();
          await peer.storage.claim(id, request);
          await peer.storage.saveStep(claim, 'charge', Buffer.from(id));
          stepped.push(id);
          await peer.storage.complete(claim, Buffer.alloc(20_000, id), HOUR_MS);
          completed.push(id);
        }
      };
      const workers = Promise.allSettled(Array.from({ length: 8 }, work));
      while (completed.length < 100 * (kill + 1)) await sleep(1);
      peer.process.kill('SIGKILL');
      await workers;

      expect(await dataSource.query('pragma integrity_check')).toEqual([{ integrity_check: 'ok' }]);
      for (const id of completed) {
        const replay = await storage.claim(id, claimRequest());
        const result = replay.kind === 'completed' ? Buffer.from(replay.result) : undefined;
        expect(result?.equals(Buffer.alloc(20_000, id))).toBe(true);
      }
      for (const id of stepped) {
        const charge = (await storage.get(id))?.steps.get('charge');
        expect(Buffer.from(charge ?? []).toString()).toBe(id);
      }
      const { id, request } = newClaim();
      expect(await storage.claim(id, request)).toMatchObject({ kind: 'claimed' });
    }
  }, 60_000);
});

describe('while another process has the write lock of a SQLite file', () => {
  it('replays go on, the event loop too, and a call that must write is refused in the end', async () => {
    const dataSource = await sqlite.migrated();
    const storage = await sqlite.storage({ dataSource });
    const [done, running] = [newClaim(), newClaim()];
    for (const { id, request } of [done, running]) await storage.claim(id, request);
    await storage.complete(done.claim, Buffer.from('done'), HOUR_MS);

    const lock = await holdSqliteLock(String(dataSource.options.database));
    const loop = watchEventLoop();
    const start = performance.now();
    const refused = [
      storage.claim(newClaim().id, claimRequest()),
      storage.complete(running.claim, Buffer.from('late'), HOUR_MS),
      storage.renew([{ claim: running.claim, leaseMs: HOUR_MS }]),
    ].map((call) => call.catch((error: unknown) => error));
    for (let time = 0; time < 50; time += 1) {
      expect(await storage.claim(done.id, claimRequest())).toMatchObject({ kind: 'completed' });
      expect(await storage.claim(running.id, claimRequest())).toMatchObject({ kind: 'in_progress' });
      expect(await storage.get(running.id)).toMatchObject({ state: 'in_progress' });
      await sleep(10);
    }
    for (const call of refused) {
      expect(await call).toBeInstanceOf(StorageUnavailableError);
      expect(((await call) as Error).message).toMatch(/database is locked\. Another process/);
    }
    expect(performance.now() - start).toBeLessThan(8000);
    // SQLite's own waiting would have stopped everything for as long as it waits.
    expect(loop.end()).toBeLessThan(500);

    const late = storage.complete(running.claim, Buffer.from('late'), HOUR_MS);
    await lock.end();
    expect(await late).toBe('applied');
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  }, 30_000);
});
