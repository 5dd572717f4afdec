import { afterEach, describe, expect, it } from '@jest/globals';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { redisStorage, type HandedInRedis } from '../../libs/idempotency/src/redis/index.js';
import { clusterSlot } from '../../libs/idempotency/src/redis/cluster-slot.js';
import {
  ioredisCluster,
  ioredisSentinel,
  nodeRedisCluster,
  nodeRedisSentinel,
  type AppClient,
} from '../support/redis-clients.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { claimRequest, eventually, newClaim } from '../support/redis-fixture.js';
import type { RedisNode } from '../support/redis-node.js';
import { RedisSentinel } from '../support/redis-sentinel.js';

const HOUR_MS = 3_600_000;
const FAILED_OVER_WITHIN_MS = 20_000;

const toEnd: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
}, 20_000);

async function started(app: AppClient): Promise<IdempotencyStorage> {
  toEnd.push(() => app.close());
  const client: HandedInRedis = app.client;
  const storage = redisStorage({ client, waitReplicas: { replicas: 1, timeout: '2s' } });
  await storage.start?.();
  return storage;
}

/** What was confirmed before is there after, and new claims are won. */
async function survives(
  storage: IdempotencyStorage,
  newId: () => string,
  failOver: () => Promise<void>,
  withReplica: () => Promise<void>,
): Promise<void> {
  const [done, running] = [newId(), newId()];
  const [first, second] = [claimRequest(), claimRequest()];
  await storage.claim(done, first);
  await storage.complete({ id: done, ownerToken: first.ownerToken }, Buffer.from('done'), HOUR_MS);
  await storage.claim(running, second);
  await failOver();
  // Nobody replicates the new primary yet, and a claim that it alone has does not count.
  const claim = claimRequest();
  await eventually(
    () => expect(storage.claim(newId(), claim)).rejects.toThrow('replicas must have, but 0 did within'),
    FAILED_OVER_WITHIN_MS,
  );
  await withReplica();
  await eventually(
    () => expect(storage.claim(done, claimRequest())).resolves.toMatchObject({ kind: 'completed' }),
    FAILED_OVER_WITHIN_MS,
  );
  await expect(storage.claim(running, claimRequest())).resolves.toMatchObject({ kind: 'in_progress' });
  const owner = { id: running, ownerToken: second.ownerToken };
  await expect(storage.renew([{ claim: owner, leaseMs: HOUR_MS }])).resolves.toEqual(['applied']);
  await expect(storage.complete(owner, Buffer.from('late'), HOUR_MS)).resolves.toBe('applied');
  await expect(storage.claim(newId(), claimRequest())).resolves.toMatchObject({ kind: 'claimed' });
}

describe('a primary that dies behind Sentinels', () => {
  it.each([
    {
      library: 'node-redis',
      connect: (group: RedisSentinel): Promise<AppClient> => nodeRedisSentinel(group),
    },
    { library: 'ioredis', connect: (group: RedisSentinel): Promise<AppClient> => ioredisSentinel(group) },
  ])(
    'is followed by the new one over $library, with what was confirmed',
    async ({ connect }) => {
      const group = await RedisSentinel.start();
      toEnd.push(() => group.stop());
      const storage = await started(await connect(group));
      await survives(
        storage,
        () => newClaim().id,
        async () => {
          const old = await group.primary();
          await old.kill();
          await eventually(() =>
            expect(storage.claim(newClaim().id, claimRequest())).rejects.toThrow(StorageUnavailableError),
          );
          await group.failedOverFrom(old);
        },
        async () => {
          await group.addReplica();
        },
      );
    },
    90_000,
  );
});

describe('a master of a Redis Cluster that dies', () => {
  it.each([
    {
      library: 'node-redis',
      connect: (cluster: RedisCluster): Promise<AppClient> => nodeRedisCluster(cluster),
    },
    {
      library: 'a node-redis that does not look for it, as before 5.12',
      connect: (cluster: RedisCluster): Promise<AppClient> =>
        nodeRedisCluster(cluster, { topologyRefreshOnReconnectionAttemptStrategy: false }),
    },
    { library: 'ioredis', connect: (cluster: RedisCluster): Promise<AppClient> => ioredisCluster(cluster) },
  ])(
    'is followed by its replica over $library, with what was confirmed',
    async ({ connect }) => {
      const cluster = await RedisCluster.start({ replicas: 1 });
      toEnd.push(() => cluster.stop());
      const storage = await started(await connect(cluster));
      const dying = cluster.masters[1] as RedisNode;
      // The second third of the slots.
      const newId = (): string => {
        const { id } = newClaim();
        const slot = clusterSlot(id);
        return slot > 6_000 && slot < 10_000 ? id : newId();
      };
      const heir = cluster.replicaOf(dying);
      await survives(
        storage,
        newId,
        async () => {
          await dying.kill();
          await expect(storage.claim(newId(), claimRequest())).rejects.toThrow(StorageUnavailableError);
          await cluster.becomesMaster(heir);
        },
        async () => {
          await cluster.addReplica(heir);
        },
      );
    },
    90_000,
  );
});
