import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import type { DataSource } from 'typeorm';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { holdLock, newClaim } from './postgres-fixture.js';

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
