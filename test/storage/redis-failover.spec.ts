import { afterEach, expect, it } from '@jest/globals';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
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
  const storage = redisStorage({ client: app.client, waitReplicas: { replicas: 1, timeout: '1s' } });
  await storage.start?.();
  return storage;
}

interface Failover {
  readonly newId: () => string;
  /** Ends the primary, and is done when there is another. */
  failOver(): Promise<void>;
  /** Gives the new primary a replica. */
  addReplica(): Promise<void>;
}

/** What was confirmed before is there after, and new claims are won. All storages live through one failover. */
async function surviveIt(
  storages: readonly IdempotencyStorage[],
  { newId, failOver, addReplica }: Failover,
): Promise<void> {
  const before = await Promise.all(
    storages.map(async (storage) => {
      const [done, running] = [claimOf(newId()), claimOf(newId())];
      await storage.claim(done.id, done.request);
      await storage.complete(done.claim, Buffer.from('done'), HOUR_MS);
      await storage.claim(running.id, running.request);
      return { storage, done, running };
    }),
  );
  await failOver();
  await Promise.all(
    storages.map(async (storage) => {
      // Nobody replicates the new primary yet, and a claim that it alone has does not count.
      const { id, request } = claimOf(newId());
      await eventually(
        () => expect(storage.claim(id, request)).rejects.toThrow('replicas must have, but 0 did within'),
        FAILED_OVER_WITHIN_MS,
      );
    }),
  );
  await addReplica();
  await Promise.all(
    before.map(async ({ storage, done, running }) => {
      await eventually(
        () => expect(storage.claim(done.id, claimRequest())).resolves.toMatchObject({ kind: 'completed' }),
        FAILED_OVER_WITHIN_MS,
      );
      await expect(storage.claim(running.id, claimRequest())).resolves.toMatchObject({ kind: 'in_progress' });
      await expect(storage.renew([{ claim: running.claim, leaseMs: HOUR_MS }])).resolves.toEqual(['applied']);
      await expect(storage.complete(running.claim, Buffer.from('late'), HOUR_MS)).resolves.toBe('applied');
      await expect(storage.claim(newId(), claimRequest())).resolves.toMatchObject({ kind: 'claimed' });
    }),
  );
}

function claimOf(id: string) {
  const request = claimRequest();
  return { id, request, claim: { id, ownerToken: request.ownerToken } };
}

it('a primary that dies behind Sentinels is followed by the new one, with what was confirmed', async () => {
  const group = await RedisSentinel.start();
  toEnd.push(() => group.stop());
  const clients: AppClient[] = [await nodeRedisSentinel(group), await ioredisSentinel(group)];
  const storages = await Promise.all(clients.map(started));
  await surviveIt(storages, {
    newId: () => newClaim().id,
    async failOver() {
      const old = await group.primary();
      await old.kill();
      for (const storage of storages) {
        const claim = () => storage.claim(newClaim().id, claimRequest());
        await eventually(() => expect(claim()).rejects.toThrow(StorageUnavailableError));
      }
      await group.failedOverFrom(old);
    },
    async addReplica() {
      await group.addReplica();
    },
  });
}, 90_000);

it('a master of a Redis Cluster that dies is followed by its replica, with what was confirmed', async () => {
  const cluster = await RedisCluster.start({ replicas: 1 });
  toEnd.push(() => cluster.stop());
  const clients: AppClient[] = [
    await nodeRedisCluster(cluster),
    // As in version 5, which does not look by itself.
    await nodeRedisCluster(cluster, { topologyRefreshOnReconnectionAttemptStrategy: false }),
    await ioredisCluster(cluster),
  ];
  const storages = await Promise.all(clients.map(started));
  const dying = cluster.masters[1] as RedisNode;
  const heir = cluster.replicaOf(dying);
  // In the second third of the slots.
  const newId = (): string => {
    const { id } = newClaim();
    const slot = clusterSlot(id);
    return slot > 6_000 && slot < 10_000 ? id : newId();
  };
  await surviveIt(storages, {
    newId,
    async failOver() {
      await dying.kill();
      for (const storage of storages) {
        await expect(storage.claim(newId(), claimRequest())).rejects.toThrow(StorageUnavailableError);
      }
      await cluster.becomesMaster(heir);
    },
    async addReplica() {
      await cluster.addReplica(heir);
    },
  });
}, 90_000);
