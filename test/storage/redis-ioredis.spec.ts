import { describe, expect, it, afterEach } from '@jest/globals';
import { Redis, type RedisOptions } from 'ioredis';
import { InvalidOptionsError, StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import { REDIS_SCRIPTS } from '../../libs/idempotency/src/redis/scripts/index.js';
import { ioredisClient } from '../support/redis-clients.js';
import { expectBytesKept, expectPrefixed } from '../support/redis-expectations.js';
import {
  claimRequest,
  commandCalls,
  connectAdmin,
  eventually,
  listeningHost,
  newClaim,
  useRedis,
} from '../support/redis-fixture.js';
import { redisHarness } from '../support/redis-harness.js';
import { startRedis } from '../support/redis-server.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { describeContract } from './contract-column.js';

const HOUR_MS = 3_600_000;
const redis = useRedis({ emptyBeforeEach: false });
const opened: Redis[] = [];
afterEach(() => {
  for (const client of opened.splice(0)) client.disconnect();
});

async function connected(options: RedisOptions = {}, port = redis.server.port): Promise<Redis> {
  const { client } = await ioredisClient(port, options);
  opened.push(client);
  return client;
}

describeContract('Redis, ioredis', () => redisHarness(() => ioredisClient(redis.server.port)));

describe('an ioredis client handed in', () => {
  const variants: Record<string, RedisOptions> = {
    'as it is': {},
    'that gives numbers as texts': { stringNumbers: true },
    'that pipelines by itself': { enableAutoPipelining: true },
    'that does both': { stringNumbers: true, enableAutoPipelining: true },
    'without a queue for outages': { enableOfflineQueue: false },
    'with a prefix': { keyPrefix: 'app*:' },
  };
  for (const [which, options] of Object.entries(variants)) {
    it(`${which} gets bytes back as they were`, async () => {
      await redis.admin.flushAll();
      await expectBytesKept(await connected(options));
    });
  }

  it('has its `keyPrefix` before every key', async () => {
    await redis.admin.flushAll();
    const keyPrefix = 'app[1]:';
    await expectPrefixed(await connected({ keyPrefix }), keyPrefix, () => redis.admin.keys('*'));
  });

  it('takes two round trips for a first request and one for a replay', async () => {
    const storage = redisStorage({ client: await connected() });
    await storage.start?.();
    await redis.admin.sendCommand(['CONFIG', 'RESETSTAT']);
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('done'), HOUR_MS);
    expect((await commandCalls(redis.admin))['evalsha']).toBe(2);
    await storage.claim(id, claimRequest());
    expect(await commandCalls(redis.admin)).toMatchObject({ evalsha: 3 });
    expect((await commandCalls(redis.admin))['eval']).toBeUndefined();
  });

  it.each([{}, { enableAutoPipelining: true }])(
    'renews a hundred leases in one trip (%j)',
    async (options) => {
      const proxy = await startTcpProxy(redis.server.port);
      try {
        const storage = redisStorage({ client: await connected(options, proxy.port) });
        await storage.start?.();
        const claims = Array.from({ length: 100 }, newClaim);
        await Promise.all(claims.map(({ id, request }) => storage.claim(id, request)));
        proxy.holdReplies();
        const outcomes = storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
        await proxy.heard(REDIS_SCRIPTS.renew.sha1, 100);
        proxy.releaseReplies();
        await expect(outcomes).resolves.toEqual(claims.map(() => 'applied'));
      } finally {
        await proxy.close();
      }
    },
  );

  it('is never closed, and hears of no listener', async () => {
    const client = await connected();
    const listeners = () => client.eventNames().map((name) => [String(name), client.listenerCount(name)]);
    const before = listeners();
    const storage = redisStorage({ client });
    await storage.start?.();
    await storage.claim(newClaim().id, claimRequest());
    expect(listeners()).toEqual(before);
    await storage.stop?.();
    await expect(client.ping()).resolves.toBe('PONG');
  });

  it('that nobody has connected, or somebody has closed, is refused and left as it is', async () => {
    const lazy = new Redis(redis.server.port, { lazyConnect: true });
    const start = redisStorage({ client: lazy }).start?.();
    await expect(start).rejects.toThrow(InvalidOptionsError);
    await expect(start).rejects.toThrow('`await client.connect()` before the application starts');
    expect(lazy.status).toBe('wait');
    const closed = await connected();
    closed.disconnect();
    await eventually(() => expect(closed.status).toBe('end'));
    await expect(redisStorage({ client: closed }).start?.()).rejects.toThrow(InvalidOptionsError);
  });

  it('is waited for while it connects', async () => {
    const client = new Redis(redis.server.port);
    opened.push(client);
    expect(client.status).toBe('connecting');
    const storage = redisStorage({ client });
    await storage.start?.();
    await expect(storage.claim(newClaim().id, claimRequest())).resolves.toMatchObject({ kind: 'claimed' });
  });

  it('in a transaction of the application gives no answer that could be taken for one', async () => {
    const client = await connected();
    const storage = redisStorage({ client });
    await storage.start?.();
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await client.multi({ pipeline: false });
    const calls = await Promise.allSettled([
      storage.claim(newClaim().id, claimRequest()),
      storage.complete(claim, Buffer.from('done'), HOUR_MS),
      storage.renew([{ claim, leaseMs: HOUR_MS }]),
      storage.get(id),
      storage.forget(id),
    ]);
    await client.discard();
    for (const call of calls) {
      expect(call).toMatchObject({
        reason: { message: expect.stringContaining('transaction of the application (MULTI)') },
      });
      expect(call).toMatchObject({ reason: { code: 'storage-unavailable' } });
    }
    await expect(storage.complete(claim, Buffer.from('done'), HOUR_MS)).resolves.toBe('applied');
  });

  it.each([{}, { enableAutoPipelining: true }])(
    'sends a claim again whose answer was lost with the connection, and it is the same claim (%j)',
    async (options) => {
      const proxy = await startTcpProxy(redis.server.port);
      try {
        const storage = redisStorage({ client: await connected(options, proxy.port) });
        await storage.start?.();
        const { id, request, claim } = newClaim();
        proxy.holdReplies();
        const claimed = storage.claim(id, request);
        await eventually(async () => expect(await redis.admin.exists(id)).toBe(1));
        proxy.pointTo(redis.server.port);
        proxy.releaseReplies();
        expect(await claimed).toMatchObject({ kind: 'claimed', attempt: 1, previous: 'none' });
        expect(proxy.count(REDIS_SCRIPTS.claim.sha1)).toBe(2);
        await expect(storage.complete(claim, Buffer.from('done'), HOUR_MS)).resolves.toBe('applied');
      } finally {
        await proxy.close();
      }
    },
  );

  it('that gives up late answers is warned of', async () => {
    const host = listeningHost();
    await redisStorage({ client: await connected({ commandTimeout: 5_000 }) }).start?.(host);
    expect(host.warnings).toEqual([expect.stringContaining('`commandTimeout: 5000`')]);
  });

  it.each([{}, { enableAutoPipelining: true }])(
    'keeps nothing that was asked during an outage, although it has a queue (%j)',
    async (options) => {
      const server = await startRedis();
      const client = await connected({ maxRetriesPerRequest: null, ...options }, server.port);
      const storage = redisStorage({ client });
      await storage.start?.();
      await server.stop();
      const asked = Array.from({ length: 50 }, newClaim);
      const early = asked.map(({ id, request }) =>
        storage.claim(id, request).catch((error: unknown) => error),
      );
      await eventually(async () =>
        expect(storage.claim(newClaim().id, claimRequest())).rejects.toThrow('is not connected'),
      );
      const later = Array.from({ length: 50 }, newClaim);
      for (const { id, request } of later) {
        await expect(storage.claim(id, request)).rejects.toThrow(StorageUnavailableError);
      }
      const again = await startRedis({ port: server.port });
      const admin = await connectAdmin(again.url);
      try {
        await eventually(() => storage.claim('test|back', claimRequest()));
        await Promise.all(early);
        for (const { id } of later) expect(await admin.exists(id)).toBe(0);
      } finally {
        admin.destroy();
        client.disconnect();
        await again.stop();
      }
    },
    15_000,
  );
});
