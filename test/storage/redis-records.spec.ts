import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { claimRequest, newClaim, useRedis } from '../support/redis-fixture.js';

const HOUR_MS = 3_600_000;
const redis = useRedis();

describe('a record in Redis', () => {
  it('always has a keeping time, and a saved step changes neither that nor the lease', async () => {
    const { id, request, claim } = newClaim();
    await redis.storage.claim(id, claimRequest({ ...request, leaseMs: 1_000_000, keepMs: 2_000_000 }));
    expect(await redis.admin.pTTL(id)).toBeGreaterThan(2_990_000);
    await redis.storage.saveStep(claim, 'charge', Buffer.from('42'));
    expect(await redis.admin.pTTL(id)).toBeGreaterThan(2_990_000);
    expect((await redis.storage.get(id))?.leaseRemainingMs).toBeGreaterThan(990_000);
    await redis.storage.release(claim, { forget: false });
    const released = await redis.admin.pTTL(id);
    expect(released > 1_990_000 && released <= 2_000_000).toBe(true);
  });

  it('goes back to the owner that a forgotten takeover had found, who may still complete it', async () => {
    const first = newClaim();
    await redis.storage.claim(first.id, { ...first.request, leaseMs: 1 });
    await redis.storage.saveStep(first.claim, 'charge', Buffer.from('42'));
    const second = { id: first.id, ownerToken: claimRequest().ownerToken };
    await sleep(20);
    const takeover = await redis.storage.claim(first.id, claimRequest({ ownerToken: second.ownerToken }));
    expect(takeover).toMatchObject({ kind: 'claimed', attempt: 2, previous: 'expired' });
    await expect(redis.storage.complete(first.claim, Buffer.from('late'), HOUR_MS)).resolves.toBe(
      'lease_lost',
    );
    await redis.storage.saveStep(second, 'charge', Buffer.from('43'));
    await redis.storage.saveStep(second, 'mail', Buffer.from('44'));
    await redis.storage.release(second, { forget: true });
    expect(
      [...((await redis.storage.get(first.id))?.steps ?? [])].map(
        ([name, value]) => `${name}=${Buffer.from(value).toString()}`,
      ),
    ).toEqual(['charge=42']);
    await expect(redis.storage.complete(first.claim, Buffer.from('late'), HOUR_MS)).resolves.toBe('applied');
    await expect(redis.storage.claim(first.id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
  });

  it('holds a result of many MiB, byte for byte', async () => {
    const { id, request, claim } = newClaim();
    const result = randomBytes(12 * 1024 * 1024);
    await redis.storage.claim(id, request);
    await redis.storage.complete(claim, result, HOUR_MS);
    const replay = await redis.storage.claim(id, claimRequest());
    expect(replay.kind === 'completed' && Buffer.compare(replay.result, result)).toBe(0);
  });

  it('is not claimed when Redis is full, and completed ones are still replayed', async () => {
    const { id, request, claim } = newClaim();
    await redis.storage.claim(id, request);
    await redis.storage.complete(claim, Buffer.from('done'), HOUR_MS);
    await redis.admin.sendCommand(['CONFIG', 'SET', 'maxmemory', '1']);
    try {
      const refused = redis.storage.claim(newClaim().id, claimRequest());
      await expect(refused).rejects.toThrow(StorageUnavailableError);
      await expect(refused).rejects.toThrow('Redis is full: raise `maxmemory`, or shorten `ttl`.');
      await expect(redis.storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
    } finally {
      await redis.admin.sendCommand(['CONFIG', 'SET', 'maxmemory', '0']);
    }
  });
});
