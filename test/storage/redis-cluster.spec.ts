import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { clusterSlot } from '../../libs/idempotency/src/redis/cluster-slot.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import { REDIS_SCRIPTS } from '../../libs/idempotency/src/redis/scripts/index.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { ioredisCluster, nodeRedisCluster, type AppClient } from '../support/redis-clients.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { claimRequest, commandCount, listeningHost, newClaim } from '../support/redis-fixture.js';
import type { RedisNode } from '../support/redis-node.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';

const HOUR_MS = 3_600_000;
const RESULT = Buffer.from('done');

/** The list in docs/storages.md, and what it says that a cluster needs beside. */
const COMMANDS = [
  ...[
    '+evalsha',
    '+eval',
    '+script|load',
    '+get',
    '+set',
    '+setrange',
    '+pexpire',
    '+pttl',
    '+time',
    '+del',
    '+scan',
  ],
  ...['+asking', '+cluster|slots', '+cluster|info', '+info'],
];

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start();
}, 60_000);
afterAll(() => cluster.stop());

async function onAll(...command: readonly string[]): Promise<void> {
  await Promise.all(cluster.masters.map((node) => node.command(...command)));
}

/** Over all nodes. */
async function calls(command: string): Promise<number> {
  const counts = await Promise.all(
    cluster.masters.map(async (node) =>
      commandCount(String(await node.command('INFO', 'commandstats')), command),
    ),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function idsFound(storage: IdempotencyStorage, idPrefix: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const { id } of storage.find({ idPrefix })) ids.push(id);
  return ids;
}

function claimIn(tag: string, name: string) {
  const request = claimRequest();
  const id = `test|{${tag}}|${name}`;
  return { id, request, claim: { id, ownerToken: request.ownerToken } };
}

/** Another master than the one that has the slot. */
async function endsOf(slot: number): Promise<{ from: RedisNode; to: RedisNode }> {
  const from = await cluster.ownerOf(slot);
  const to = cluster.masters.find((node) => node !== from);
  if (to === undefined) throw new Error('There is one master.');
  return { from, to };
}

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
  for (const key of keys) expect(clusterSlot(key)).toBe(await cluster.slotOf(key));
});

describe.each([
  { library: 'node-redis', connect: (): Promise<AppClient> => nodeRedisCluster(cluster) },
  { library: 'ioredis', connect: (): Promise<AppClient> => ioredisCluster(cluster) },
])('a Redis Cluster over $library', ({ library, connect }) => {
  let app: AppClient;
  let storage: IdempotencyStorage;
  beforeEach(async () => {
    await onAll('FLUSHALL');
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
    await onAll('CONFIG', 'RESETSTAT');
    await storage.claim(id, request);
    await storage.complete(claim, RESULT, HOUR_MS);
    expect(await calls('evalsha')).toBe(2);
    await expect(storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
    expect(await calls('evalsha')).toBe(3);
    expect(await calls('eval')).toBe(0);
  });

  it('has the scripts on every node from the start, and puts back those that a node has forgotten', async () => {
    const claims = Array.from({ length: 30 }, newClaim);
    await onAll('CONFIG', 'RESETSTAT');
    await Promise.all(claims.map(({ id, request }) => storage.claim(id, request)));
    expect(await calls('eval')).toBe(0);
    await onAll('SCRIPT', 'FLUSH');
    const outcomes = await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    expect(outcomes).toEqual(claims.map(() => 'applied'));
    expect(await calls('eval')).toBeGreaterThanOrEqual(3);
    const before = await calls('eval');
    await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    expect(await calls('eval')).toBe(before);
  });

  it('goes on, with every call, through each stage of a slot that moves', async () => {
    // Keys of one slot: a tag in braces is a thing of the test alone, ids of the library have none.
    const tag = randomUUID();
    const slot = clusterSlot(`{${tag}}`);
    const [moved, stays, fresh] = [claimIn(tag, 'moved'), claimIn(tag, 'stays'), claimIn(tag, 'fresh')];
    const { from, to } = await endsOf(slot);
    await storage.claim(moved.id, moved.request);
    const move = await cluster.startMove(slot, from, to);
    // A node that never saw the scripts, as one that has just joined.
    await to.command('SCRIPT', 'FLUSH');
    try {
      await move.migrateKeys(1);
      await storage.claim(stays.id, stays.request);
      for (const { id, request, claim } of [moved, stays, fresh]) {
        await expect(storage.claim(id, request)).resolves.toMatchObject({ kind: 'claimed', attempt: 1 });
        await expect(storage.renew([{ claim, leaseMs: HOUR_MS }])).resolves.toEqual(['applied']);
        await expect(storage.saveStep(claim, 'charge', RESULT)).resolves.toBe('applied');
        await expect(storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'in_progress' });
      }
      expect([...(await idsFound(storage, 'test|'))].sort()).toEqual(
        [fresh, moved, stays].map(({ id }) => id),
      );
      await move.migrateKeys(100);
    } finally {
      await move.finish();
    }
    for (const { id, claim } of [moved, stays, fresh]) {
      await expect(storage.complete(claim, RESULT, HOUR_MS)).resolves.toBe('applied');
      await expect(storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
      await expect(storage.get(id)).resolves.toMatchObject({ attempt: 1, state: 'completed' });
      await expect(storage.forget(id)).resolves.toBe(true);
    }
    // Having been told once, it asks the right node at once.
    await onAll('CONFIG', 'RESETSTAT');
    await storage.claim(fresh.id, claimRequest());
    expect(await calls('evalsha')).toBe(1);
  });

  it('finds what lies on all nodes, each record once', async () => {
    const ids = Array.from({ length: 60 }, () => newClaim().id);
    await Promise.all(ids.map((id) => storage.claim(id, claimRequest())));
    expect([...(await idsFound(storage, 'test|redis|'))].sort()).toEqual([...ids].sort());
  });

  it('finds a record once, although its slot moves to a node that is searched later', async () => {
    const ids = Array.from({ length: 60 }, () => newClaim().id);
    await Promise.all(ids.map((id) => storage.claim(id, claimRequest())));
    const found: string[] = [];
    for await (const { id } of storage.find({ idPrefix: 'test|redis|' })) {
      found.push(id);
      if (found.length > 1) continue;
      const slot = clusterSlot(id);
      const { from, to } = await endsOf(slot);
      await cluster.moveSlot(slot, from, to);
    }
    expect(found.sort()).toEqual([...ids].sort());
  });

  it('warns of every node that may drop records, once', async () => {
    const last = cluster.masters.at(-1);
    await last?.command('CONFIG', 'SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru');
    const host = listeningHost();
    try {
      await redisStorage({ client: app.client }).start?.(host);
    } finally {
      await last?.command('CONFIG', 'SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
    }
    expect(host.warnings).toEqual([expect.stringContaining('maxmemory-policy allkeys-lru')]);
  });

  it('may be given a user with no more than the commands that docs/storages.md lists', async () => {
    await onAll('ACL', 'SETUSER', 'app', 'reset', 'on', '>pw', '~test|*', '-@all', ...COMMANDS);
    const credentials = { username: 'app', password: 'pw' };
    const restricted: AppClient =
      library === 'ioredis'
        ? await ioredisCluster(cluster, { redisOptions: credentials })
        : await nodeRedisCluster(cluster, { defaults: credentials });
    const [tag, other] = [randomUUID(), newClaim()];
    const [moved, fresh] = [claimIn(tag, 'moved'), claimIn(tag, 'fresh')];
    const { from, to } = await endsOf(clusterSlot(`{${tag}}`));
    try {
      const over = redisStorage({ client: restricted.client });
      await over.start?.();
      await over.claim(other.id, other.request);
      await over.claim(moved.id, moved.request);
      const move = await cluster.startMove(clusterSlot(`{${tag}}`), from, to);
      await move.migrateKeys(1);
      await expect(over.claim(fresh.id, fresh.request)).resolves.toMatchObject({ kind: 'claimed' });
      await move.finish();
      await expect(over.complete(moved.claim, RESULT, HOUR_MS)).resolves.toBe('applied');
      expect(await idsFound(over, 'test|')).toHaveLength(3);
      await expect(over.forget(moved.id)).resolves.toBe(true);
    } finally {
      await restricted.close();
    }
  });

  it('says which node is not there, and gets on with the others', async () => {
    const [frozen, alive] = cluster.masters as [RedisNode, RedisNode];
    const idAt = async (node: RedisNode) => {
      for (;;) {
        const { id } = newClaim();
        if ((await cluster.ownerOf(clusterSlot(id))) === node) return id;
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
    const proxies = await Promise.all(cluster.masters.map(({ port }) => startTcpProxy(port)));
    const address = (port: number) => {
      const proxy = proxies[cluster.masters.findIndex((node) => node.port === port)];
      return { host: '127.0.0.1', port: (proxy as TcpProxy).port };
    };
    const addressMap = Object.fromEntries(
      cluster.masters.map(({ port }) => [`127.0.0.1:${port}`, address(port)]),
    );
    const behind: AppClient =
      library === 'ioredis'
        ? await ioredisCluster(cluster, { natMap: addressMap })
        : await nodeRedisCluster(cluster, { nodeAddressMap: addressMap });
    try {
      const over = redisStorage({ client: behind.client });
      await over.start?.();
      const claims = Array.from({ length: 100 }, newClaim);
      await Promise.all(claims.map(({ id, request }) => over.claim(id, request)));
      for (const proxy of proxies) proxy.holdReplies();
      const outcomes = over.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
      const shares = cluster.masters.map(() => 0);
      for (const { id } of claims) {
        const owner = await cluster.ownerOf(clusterSlot(id));
        const at = cluster.masters.indexOf(owner);
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
