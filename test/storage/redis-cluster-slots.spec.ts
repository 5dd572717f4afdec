import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { clusterSlot } from '../../libs/idempotency/src/redis/cluster-slot.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { ioredisCluster, nodeRedisCluster, type AppClient } from '../support/redis-clients.js';
import { claimIn, idsFound, useCluster } from '../support/redis-cluster-fixture.js';
import { claimRequest, newClaim } from '../support/redis-fixture.js';

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

const redis = useCluster();

describe.each([
  { library: 'node-redis', connect: (): Promise<AppClient> => nodeRedisCluster(redis.cluster) },
  { library: 'ioredis', connect: (): Promise<AppClient> => ioredisCluster(redis.cluster) },
])('a slot that moves, over $library', ({ library, connect }) => {
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

  it('is followed by every call, through each stage', async () => {
    const tag = randomUUID();
    const slot = clusterSlot(`{${tag}}`);
    const [moved, stays, fresh] = [claimIn(tag, 'moved'), claimIn(tag, 'stays'), claimIn(tag, 'fresh')];
    const { from, to } = await redis.endsOf(slot);
    await storage.claim(moved.id, moved.request);
    const move = await redis.cluster.startMove(slot, from, to);
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
    await redis.onAll('CONFIG', 'RESETSTAT');
    await storage.claim(fresh.id, claimRequest());
    expect(await redis.calls('evalsha')).toBe(1);
  });

  it('yields no record twice, although it goes to a node that is searched later', async () => {
    const ids = Array.from({ length: 60 }, () => newClaim().id);
    await Promise.all(ids.map((id) => storage.claim(id, claimRequest())));
    const found: string[] = [];
    for await (const { id } of storage.find({ idPrefix: 'test|redis|' })) {
      found.push(id);
      if (found.length > 1) continue;
      const slot = clusterSlot(id);
      const { from, to } = await redis.endsOf(slot);
      await redis.cluster.moveSlot(slot, from, to);
    }
    expect(found.sort()).toEqual([...ids].sort());
  });

  it('is followed by a user with no more than the commands that docs/storages.md lists', async () => {
    await redis.onAll('ACL', 'SETUSER', 'app', 'reset', 'on', '>pw', '~test|*', '-@all', ...COMMANDS);
    const credentials = { username: 'app', password: 'pw' };
    const restricted: AppClient =
      library === 'ioredis'
        ? await ioredisCluster(redis.cluster, { redisOptions: credentials })
        : await nodeRedisCluster(redis.cluster, { defaults: credentials });
    const [tag, other] = [randomUUID(), newClaim()];
    const [moved, fresh] = [claimIn(tag, 'moved'), claimIn(tag, 'fresh')];
    const { from, to } = await redis.endsOf(clusterSlot(`{${tag}}`));
    try {
      const over = redisStorage({ client: restricted.client });
      await over.start?.();
      await over.claim(other.id, other.request);
      await over.claim(moved.id, moved.request);
      const move = await redis.cluster.startMove(clusterSlot(`{${tag}}`), from, to);
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
});
