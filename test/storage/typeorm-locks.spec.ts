import { beforeAll, describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { renewalsMeetTakeovers, renewsBesideLockedRow } from '../support/locked-row.js';
import { claimRequest, holdLock, newClaim, usePostgres } from '../support/postgres-fixture.js';

const HOUR_MS = 3_600_000;
const postgres = usePostgres();
let dataSource: DataSource;
let storage: IdempotencyStorage;

beforeAll(async () => {
  dataSource = await postgres.migrated({ poolSize: 30 });
  storage = await postgres.storage({ dataSource });
});

const LOCK = 'select from idempotency_records where id = $1 for update';
/** What a completion inside a handler's transaction does before the commit. */
const COMPLETE = `update idempotency_records set state = 1, result = 'done', expires_at = clock_timestamp() + interval '1 h' where id = $1`;

async function timed<T>(call: () => Promise<T>): Promise<{ answer: T; ms: number }> {
  const start = performance.now();
  const answer = await call();
  return { answer, ms: performance.now() - start };
}

describe('while somebody has a row locked', () => {
  it('the leases of the other claims are renewed, and the locked claim counts as renewed', async () => {
    await renewsBesideLockedRow(storage, dataSource);
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
    const sql = 'update idempotency_records set owner = $2 where id = $1';
    await renewalsMeetTakeovers(storage, dataSource, { sql, values: (id, owner) => [id, owner] });
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
    await expect(storage.claim(id, claimRequest())).rejects.toBeInstanceOf(StorageUnavailableError);
    expect(await storage.purgeExpired(10)).toBe(0);
    await lock.end();
    expect(await storage.purgeExpired(10)).toBe(1);
  });

  it('whoever must change that row gives up after a second, and its connection is free again', async () => {
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    const lock = await holdLock(dataSource, LOCK, [id]);
    const { answer, ms } = await timed(() =>
      Promise.allSettled([
        storage.saveStep(claim, 'a', Buffer.of(1)),
        storage.complete(claim, Buffer.of(1), HOUR_MS),
      ]),
    );
    for (const call of answer) {
      expect(call).toMatchObject({ reason: { message: expect.stringContaining('lock timeout') } });
      expect(call).toMatchObject({ reason: { code: 'storage-unavailable' } });
    }
    expect(ms).toBeLessThan(3000);
    await lock.end();
    expect(await storage.complete(claim, Buffer.of(1), HOUR_MS)).toBe('applied');
  });

  it('a replay reads it all the same', async () => {
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('done'), HOUR_MS);
    const lock = await holdLock(dataSource, LOCK, [id]);
    expect(await storage.claim(id, claimRequest())).toMatchObject({ kind: 'completed' });
    await lock.end();
  });
});
