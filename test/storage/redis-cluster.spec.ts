import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { ClusterOptions } from 'ioredis';
import { clusterSlot } from '../../libs/idempotency/src/redis/cluster-slot.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import { REDIS_SCRIPTS } from '../../libs/idempotency/src/redis/scripts/index.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { ioredisCluster, nodeRedisCluster, type AppClient } from '../support/redis-clients.js';
import { idsFound, useCluster } from '../support/redis-cluster-fixture.js';
import { expectBytesKept, expectPrefixed } from '../support/redis-expectations.js';
import { claimRequest, eventually, listeningHost, newClaim } from '../support/redis-fixture.js';
import type { RedisNode } from '../support/redis-node.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';

const HOUR_MS = 3_600_000;
const RESULT = Buffer.from('done');

const redis = useCluster();

it('a slot is computed as Redis does', async () => {
  const keys = [
    '',
    'a',
    'shop|POST /orders|abc',
    'ä{}b{c}',
    '{tag}x',
    'x{tag}',
    'a{{b}}',
    '}{',
    '{',
    randomUUID(),
  ];
  for (const key of keys) expect(clusterSlot(key)).toBe(await redis.cluster.slotOf(key));
});

describe.each([
  { library: 'node-redis', connect: (): Promise<AppClient> => nodeRedisCluster(redis.cluster) },
  { library: 'ioredis', connect: (): Promise<AppClient> => ioredisCluster(redis.cluster) },
])('a Redis Cluster over $library', ({ library, connect }) => {
  let app: AppClient;
  let storage: IdempotencyStorage;
  beforeEach(async () => {
    await redis.onAll('FLUSHALL');
    app = await connect();
    storage = redisStorage({ client: app.client });
    await storage.start?.();
  });
  afterEach(async () => {
    await storage.stop?.();
    await app.close();
  });

  it('takes two round trips for a first request and one for a replay', async () => {
    const { id, request, claim } = newClaim();
    await redis.onAll('CONFIG', 'RESETSTAT');
    await storage.claim(id, request);
    await storage.complete(claim, RESULT, HOUR_MS);
    expect(await redis.calls('evalsha')).toBe(2);
    await expect(storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
    expect(await redis.calls('evalsha')).toBe(3);
    expect(await redis.calls('eval')).toBe(0);
  });

  it('has the scripts on every node from the start, and puts back those that a node has forgotten', async () => {
    const claims = Array.from({ length: 30 }, newClaim);
    await redis.onAll('CONFIG', 'RESETSTAT');
    await Promise.all(claims.map(({ id, request }) => storage.claim(id, request)));
    expect(await redis.calls('eval')).toBe(0);
    await redis.onAll('SCRIPT', 'FLUSH');
    const outcomes = await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    expect(outcomes).toEqual(claims.map(() => 'applied'));
    expect(await redis.calls('eval')).toBeGreaterThanOrEqual(3);
    const before = await redis.calls('eval');
    await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    expect(await redis.calls('eval')).toBe(before);
  });

  it('finds what lies on all nodes, each record once', async () => {
    const ids = Array.from({ length: 60 }, () => newClaim().id);
    await Promise.all(ids.map((id) => storage.claim(id, claimRequest())));
    expect([...(await idsFound(storage, 'test|redis|'))].sort()).toEqual([...ids].sort());
  });

  it('warns of every node that may drop records, once', async () => {
    const last = redis.cluster.masters.at(-1);
    await last?.command('CONFIG', 'SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru');
    const host = listeningHost();
    try {
      await redisStorage({ client: app.client }).start?.(host);
    } finally {
      await last?.command('CONFIG', 'SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
    }
    expect(host.warnings).toEqual([expect.stringContaining('maxmemory-policy allkeys-lru')]);
  });

  it('says which node is not there, and gets on with the others', async () => {
    const [frozen, alive] = redis.cluster.masters as [RedisNode, RedisNode];
    const idAt = async (node: RedisNode) => {
      for (;;) {
        const { id } = newClaim();
        if ((await redis.cluster.ownerOf(clusterSlot(id))) === node) return id;
      }
    };
    const [there, here] = [await idAt(frozen), await idAt(alive)];
    frozen.pause();
    try {
      const waiting = storage.claim(there, claimRequest());
      await expect(storage.claim(here, claimRequest())).resolves.toMatchObject({ kind: 'claimed' });
      frozen.resume();
      await expect(waiting).resolves.toMatchObject({ kind: 'claimed' });
    } finally {
      frozen.resume();
    }
  });

  it('renews a hundred leases in one trip per node', async () => {
    const proxies = await Promise.all(redis.cluster.masters.map(({ port }) => startTcpProxy(port)));
    const address = (port: number) => {
      const proxy = proxies[redis.cluster.masters.findIndex((node) => node.port === port)];
      return { host: '127.0.0.1', port: (proxy as TcpProxy).port };
    };
    const addressMap = Object.fromEntries(
      redis.cluster.masters.map(({ port }) => [`127.0.0.1:${port}`, address(port)]),
    );
    const behind: AppClient =
      library === 'ioredis'
        ? await ioredisCluster(redis.cluster, { natMap: addressMap })
        : await nodeRedisCluster(redis.cluster, { nodeAddressMap: addressMap });
    try {
      const over = redisStorage({ client: behind.client });
      await over.start?.();
      const claims = Array.from({ length: 100 }, newClaim);
      await Promise.all(claims.map(({ id, request }) => over.claim(id, request)));
      for (const proxy of proxies) proxy.holdReplies();
      const outcomes = over.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
      const shares = redis.cluster.masters.map(() => 0);
      for (const { id } of claims) {
        const owner = await redis.cluster.ownerOf(clusterSlot(id));
        const at = redis.cluster.masters.indexOf(owner);
        shares[at] = (shares[at] ?? 0) + 1;
      }
      expect(shares.every((share) => share > 0)).toBe(true);
      // Each node has heard of all of its own before the first answer has come back.
      await Promise.all(
        proxies.map((proxy, at) => proxy.heard(REDIS_SCRIPTS.renew.sha1, shares[at] as number)),
      );
      for (const proxy of proxies) proxy.releaseReplies();
      await expect(outcomes).resolves.toEqual(claims.map(() => 'applied'));
    } finally {
      await behind.close();
      await Promise.all(proxies.map((proxy) => proxy.close()));
    }
  }, 30_000);
});

describe.each<{ client: string; connect: (keyPrefix: string) => Promise<AppClient> }>([
  {
    client: 'of node-redis',
    connect: (keyPrefix) => nodeRedisCluster(redis.cluster, { keyPrefix }),
  },
  { client: 'of ioredis', connect: (keyPrefix) => ioredisCluster(redis.cluster, { keyPrefix }) },
  {
    client: 'of ioredis whose nodes have it',
    connect: (keyPrefix) =>
      ioredisCluster(redis.cluster, { redisOptions: { keyPrefix } } satisfies ClusterOptions),
  },
])('a cluster client $client with a `keyPrefix`', ({ connect }) => {
  let app: AppClient;
  beforeEach(() => redis.onAll('FLUSHALL'));
  afterEach(() => app.close());

  const keys = async () =>
    (await Promise.all(redis.cluster.masters.map((node) => node.command('KEYS', '*')))).flat().map(String);

  // Between braces it decides alone where a key lies.
  it.each(['app[1]:', '{app}:'])('has %j before every key, and finds each where it is', async (keyPrefix) => {
    app = await connect(keyPrefix);
    await expectBytesKept(app.client);
    await expectPrefixed(app.client, keyPrefix, keys);
  });

  it('follows a slot that has moved', async () => {
    app = await connect('app:');
    const storage = redisStorage({ client: app.client });
    await storage.start?.();
    const { id, request } = newClaim();
    await storage.claim(id, request);
    const slot = clusterSlot(`app:${id}`);
    const { from, to } = await redis.endsOf(slot);
    await redis.cluster.moveSlot(slot, from, to);
    await redis.onAll('CONFIG', 'RESETSTAT');
    for (let time = 0; time < 5; time += 1) {
      await expect(storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'in_progress' });
    }
    // Sent on once, and straight there as soon as the client has looked where the slot is now.
    const sentOn = () =>
      from
        .command('INFO', 'errorstats')
        .then((stats) => /errorstat_MOVED:count=(\d+)/.exec(String(stats))?.[1]);
    const before = await eventually(async () => {
      const earlier = await sentOn();
      await storage.claim(id, claimRequest());
      expect(await sentOn()).toBe(earlier);
      return earlier;
    });
    expect(Number(before)).toBeGreaterThan(0);
  });
});
