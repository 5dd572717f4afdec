import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { claimRequest, holdLock, newClaim } from './postgres-fixture.js';

const HOUR_MS = 3_600_000;

/**
 * A renewal of many claims, one of which somebody has locked: all count as renewed, and nobody waits for the lock.
 * No clause of the contract can say it, because it needs a lock that only a database has.
 */
export async function renewsBesideLockedRow(
  storage: IdempotencyStorage,
  dataSource: DataSource,
  lockSql = 'select from idempotency_records where id = $1 for update',
): Promise<void> {
  const claims = Array.from({ length: 12 }, () => newClaim());
  for (const { id, request } of claims) await storage.claim(id, request);
  const locked = claims[5]?.id;
  const lock = await holdLock(dataSource, lockSql, [locked]);
  try {
    const start = performance.now();
    const outcomes = await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: 2 * HOUR_MS })));
    const ms = performance.now() - start;
    assert.deepEqual(new Set(outcomes), new Set(['applied']), 'a claim was not renewed');
    assert.ok(ms < 300, `the renewal took ${ms} ms`);
    for (const { id } of claims) {
      const record = await storage.get(id);
      assert.equal((record?.leaseRemainingMs ?? 0) > HOUR_MS, id !== locked, 'a lease was not renewed');
    }
  } finally {
    await lock.end();
  }
}

/** A renewal while a takeover is about to commit. @param takeOver the statement, and how its values are put for an id */
export async function renewalsMeetTakeovers(
  storage: IdempotencyStorage,
  dataSource: DataSource,
  takeOver: { readonly sql: string; values(id: string, owner: string): unknown[] },
): Promise<void> {
  let met = 0;
  for (let round = 0; round < 100 && met < 10; round += 1) {
    const { id, request, claim } = newClaim({ leaseMs: 1 });
    await storage.claim(id, request);
    await sleep(5);
    const values = takeOver.values(id, claimRequest().ownerToken);
    const takeover = await holdLock(dataSource, takeOver.sql, values);
    const start = performance.now();
    const renewed = storage.renew([{ claim, leaseMs: HOUR_MS }]);
    await sleep((round % 10) / 2);
    await takeover.end();
    // A renewal asks for the last time 12.5 ms after it began, or later; nobody can see a commit that comes after that.
    const isMet = performance.now() - start < 10;
    if (isMet) met += 1;
    const [outcome] = await renewed;
    assert.ok(outcome === 'lease_lost' || !isMet, `round ${round}: a lost lease was ${outcome}`);
    assert.deepEqual(await storage.renew([{ claim, leaseMs: HOUR_MS }]), ['lease_lost']);
  }
  assert.ok(met > 0, 'every takeover came too late to be met');
}
