import { beforeAll, describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { renewalsMeetTakeovers, renewsBesideLockedRow } from '../support/locked-row.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { claimRequest, holdLock, newClaim } from '../support/postgres-fixture.js';

const HOUR_MS = 3_600_000;
const mariaDb = useMariaDb();
let dataSource: DataSource;

const LOCK = 'select id from idempotency_records where id = ? for update';
/** What a completion inside a handler's transaction does before the commit. */
const COMPLETE = `update idempotency_records set state = 1, result = 'done', expires_at = expires_at + 3600000 where id = ?`;
const TAKE_OVER = 'update idempotency_records set owner = ? where id = ?';

async function timed<T>(call: () => Promise<T>): Promise<{ answer: T; ms: number }> {
  const start = performance.now();
  const answer = await call();
  return { answer, ms: performance.now() - start };
}

beforeAll(async () => {
  dataSource = await mariaDb.migrated({ poolSize: 30 });
});

describe.each(['MariaDB', 'MySQL'] as const)(
  'while somebody has a row locked, with the claim for %s,',
  (claim) => {
    let storage: IdempotencyStorage;
    beforeAll(async () => {
      storage =
        claim === 'MariaDB' ? await mariaDb.storage({ dataSource }) : await mariaDb.mySqlStorage(dataSource);
    });

    it('the leases of the other claims are renewed, and the locked claim counts as renewed', async () => {
      await renewsBesideLockedRow(storage, dataSource, LOCK);
    });

    it('a claim that was taken over is lost, also when its row is locked', async () => {
      const first = newClaim({ leaseMs: 1 });
      await storage.claim(first.id, first.request);
      await sleep(20);
      await storage.claim(first.id, claimRequest());
      const lock = await holdLock(dataSource, LOCK, [first.id]);
      expect(await storage.renew([{ claim: first.claim, leaseMs: HOUR_MS }])).toEqual(['lease_lost']);
      await lock.end();
    });

    it('a renewal that meets a takeover at its commit finds the lease lost', async () => {
      const values = (id: string, owner: string) => [owner, id];
      await renewalsMeetTakeovers(storage, dataSource, { sql: TAKE_OVER, values });
    });

    it('a takeover does not wait: the record is in progress, and its owner completes it', async () => {
      const { id, request } = newClaim({ leaseMs: 1 });
      await storage.claim(id, request);
      await sleep(20);
      const commit = await holdLock(dataSource, COMPLETE, [id]);
      const { answer, ms } = await timed(() => storage.claim(id, claimRequest()));
      expect(answer).toEqual({ kind: 'in_progress', fingerprint: 'fp', leaseRemainingMs: 0 });
      expect(ms).toBeLessThan(500);
      await commit.end();
      expect(await storage.claim(id, claimRequest())).toMatchObject({ kind: 'completed' });
    });

    it('many who retry its key hold up nobody else', async () => {
      const stuck = newClaim({ leaseMs: 1 });
      const other = newClaim();
      for (const { id, request } of [stuck, other]) await storage.claim(id, request);
      await sleep(20);
      const lock = await holdLock(dataSource, COMPLETE, [stuck.id]);
      const retries = Promise.all(Array.from({ length: 20 }, () => storage.claim(stuck.id, claimRequest())));
      const { answer, ms } = await timed(() => storage.renew([{ claim: other.claim, leaseMs: HOUR_MS }]));
      expect(answer).toEqual(['applied']);
      expect(ms).toBeLessThan(300);
      expect(new Set((await retries).map(({ kind }) => kind))).toEqual(new Set(['in_progress']));
      await lock.end();
    });

    it('a record past its keeping time is waited for, and claimed when the lock ends', async () => {
      const { id, request } = newClaim({ leaseMs: 1, keepMs: 1 });
      await storage.claim(id, request);
      await sleep(20);
      const lock = await holdLock(dataSource, LOCK, [id]);
      const claimed = storage.claim(id, claimRequest());
      // As a purge on a busy server may take.
      await sleep(200);
      await lock.end();
      expect(await claimed).toMatchObject({ kind: 'claimed', attempt: 1 });
    });

    it('a record past its keeping time is not guessed about', async () => {
      const { id, request } = newClaim({ leaseMs: 1, keepMs: 1 });
      await storage.claim(id, request);
      await sleep(20);
      const lock = await holdLock(dataSource, LOCK, [id]);
      await expect(storage.claim(id, claimRequest())).rejects.toThrow(/information_schema\.INNODB_TRX/);
      expect(await storage.purgeExpired(10)).toBe(0);
      await lock.end();
      expect(await storage.purgeExpired(10)).toBe(1);
    });

    it('whoever must change that row gives up after a second, and its connection is free again', async () => {
      const { id, request, claim: held } = newClaim();
      await storage.claim(id, request);
      const lock = await holdLock(dataSource, LOCK, [id]);
      const { answer, ms } = await timed(() =>
        Promise.allSettled([
          storage.saveStep(held, 'a', Buffer.of(1)),
          storage.complete(held, Buffer.of(1), HOUR_MS),
          storage.forget(id),
        ]),
      );
      for (const call of answer) {
        expect(call).toMatchObject({ reason: { message: expect.stringContaining('Lock wait timeout') } });
        expect(call).toMatchObject({ reason: { code: 'storage-unavailable' } });
      }
      expect(ms).toBeLessThan(3000);
      await lock.end();
      expect(await storage.complete(held, Buffer.of(1), HOUR_MS)).toBe('applied');
    });

    it('a replay reads it all the same', async () => {
      const { id, request, claim: held } = newClaim();
      await storage.claim(id, request);
      await storage.complete(held, Buffer.from('done'), HOUR_MS);
      const lock = await holdLock(dataSource, LOCK, [id]);
      const { answer, ms } = await timed(() => storage.claim(id, claimRequest()));
      expect(answer).toMatchObject({ kind: 'completed' });
      expect(ms).toBeLessThan(300);
      await lock.end();
    });

    it('one that is being inserted is waited for, and no longer than a second', async () => {
      const { id } = newClaim();
      const insert = `insert into idempotency_records (id, state, attempt, previous, fingerprint, created_at, lease_until, expires_at)
      values (?, 0, 1, 0, 'other', 0, 9e15, 9e15)`;
      const first = await holdLock(dataSource, insert, [id]);
      const claimed = storage.claim(id, claimRequest());
      await sleep(50);
      await first.end();
      expect(await claimed).toMatchObject({ kind: 'in_progress', fingerprint: 'other' });

      const stuck = newClaim().id;
      const second = await holdLock(dataSource, insert, [stuck]);
      const { answer, ms } = await timed(() =>
        storage.claim(stuck, claimRequest()).catch((error: unknown) => error),
      );
      expect(answer).toBeInstanceOf(StorageUnavailableError);
      expect(ms).toBeLessThan(3000);
      await second.end();
    });
  },
);

describe('while a transaction of the application holds a gap between ids', () => {
  it('purging and completing go on, and a claim into the gap ends after a second', async () => {
    const storage = await mariaDb.storage({ dataSource });
    const [old, running] = [newClaim({ leaseMs: 1, keepMs: 1 }), newClaim()];
    await storage.claim(old.id, old.request);
    await storage.claim(running.id, running.request);
    await sleep(20);
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction('REPEATABLE READ');
    await runner.query(`select id from idempotency_records where id > 'zz' for update`);
    expect(await storage.purgeExpired(10)).toBe(1);
    expect(await storage.complete(running.claim, Buffer.of(1), HOUR_MS)).toBe('applied');
    const { answer, ms } = await timed(() =>
      storage.claim('zzz', claimRequest()).catch((error: unknown) => error),
    );
    expect(answer).toBeInstanceOf(StorageUnavailableError);
    expect(ms).toBeLessThan(3000);
    await runner.rollbackTransaction();
    await runner.release();
    expect(await storage.claim('zzz', claimRequest())).toMatchObject({ kind: 'claimed' });
  });
});
