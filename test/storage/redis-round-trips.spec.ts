import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import { REDIS_SCRIPTS } from '../../libs/idempotency/src/redis/scripts/index.js';
import { claimRequest, commandCalls, newClaim, useRedis } from '../support/redis-fixture.js';
import { startTcpProxy } from '../support/tcp-proxy.js';

const HOUR_MS = 3_600_000;
const redis = useRedis();

describe('round trips', () => {
  it('are two for a first request and one for a replay', async () => {
    const { id, request, claim } = newClaim();
    await redis.admin.sendCommand(['CONFIG', 'RESETSTAT']);
    await redis.storage.claim(id, request);
    await redis.storage.complete(claim, randomBytes(1200), HOUR_MS);
    const first = await commandCalls(redis.admin);
    expect(first['evalsha']).toBe(2);
    // What the scripts call; INFO is the test's own.
    const inside = ['config|resetstat', 'evalsha', 'get', 'info', 'set', 'time'];
    expect(Object.keys(first).filter((name) => !inside.includes(name))).toEqual([]);

    await redis.admin.sendCommand(['CONFIG', 'RESETSTAT']);
    await expect(redis.storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
    const replay = await commandCalls(redis.admin);
    expect(replay['evalsha']).toBe(1);
    expect(replay['set']).toBeUndefined();
  });

  it('are one for a hundred renewals', async () => {
    const proxy = await startTcpProxy(redis.server.port);
    const behindProxy = redisStorage({ url: `redis://127.0.0.1:${proxy.port}` });
    await behindProxy.start?.();
    try {
      const claims = await Promise.all(
        Array.from({ length: 100 }, async () => {
          const { id, request, claim } = newClaim();
          await behindProxy.claim(id, request);
          return claim;
        }),
      );
      proxy.holdReplies();
      const outcomes = behindProxy.renew(claims.map((claim) => ({ claim, leaseMs: HOUR_MS })));
      // All of them are on their way before the first answer has come back.
      await proxy.heard(REDIS_SCRIPTS.renew.sha1, 100);
      proxy.releaseReplies();
      await expect(outcomes).resolves.toEqual(claims.map(() => 'applied'));
    } finally {
      await behindProxy.stop?.();
      await proxy.close();
    }
  });
});

describe('scripts that Redis has forgotten', () => {
  it('are sent again, and run by their hash from then on', async () => {
    const { id, request, claim } = newClaim();
    await redis.storage.claim(id, request);
    await redis.admin.scriptFlush();
    await redis.admin.sendCommand(['CONFIG', 'RESETSTAT']);
    await expect(redis.storage.saveStep(claim, 'charge', Buffer.from('1'))).resolves.toBe('applied');
    await expect(redis.storage.saveStep(claim, 'mail', Buffer.from('2'))).resolves.toBe('applied');
    expect(await commandCalls(redis.admin)).toMatchObject({ evalsha: 2, eval: 1 });
    await expect(redis.storage.complete(claim, Buffer.from('done'), HOUR_MS)).resolves.toBe('applied');
    await expect(redis.storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
  });

  it('are sent again for many renewals at once', async () => {
    const claims = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const { id, request, claim } = newClaim();
        await redis.storage.claim(id, request);
        return claim;
      }),
    );
    await redis.admin.scriptFlush();
    const outcomes = await redis.storage.renew(claims.map((claim) => ({ claim, leaseMs: HOUR_MS })));
    expect(outcomes).toEqual(claims.map(() => 'applied'));
  });
});
