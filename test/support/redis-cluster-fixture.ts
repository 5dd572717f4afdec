import { afterAll, beforeAll } from '@jest/globals';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { RedisCluster } from './redis-cluster.js';
import { claimRequest, commandCount } from './redis-fixture.js';
import type { RedisNode } from './redis-node.js';

/** For a whole spec file: a cluster of three masters. */
export interface ClusterFixture {
  readonly cluster: RedisCluster;
  onAll(...command: readonly string[]): Promise<void>;
  /** How often all nodes together were asked for a command since `CONFIG RESETSTAT`. */
  calls(command: string): Promise<number>;
  /** Who has the slot, and a master who has not. */
  endsOf(slot: number): Promise<{ from: RedisNode; to: RedisNode }>;
}

export function useCluster(): ClusterFixture {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
  }, 60_000);
  afterAll(() => cluster.stop());
  return {
    get cluster() {
      return cluster;
    },
    async onAll(...command) {
      await Promise.all(cluster.masters.map((node) => node.command(...command)));
    },
    async calls(command) {
      const counts = await Promise.all(
        cluster.masters.map(async (node) =>
          commandCount(String(await node.command('INFO', 'commandstats')), command),
        ),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    },
    async endsOf(slot) {
      const from = await cluster.ownerOf(slot);
      const to = cluster.masters.find((node) => node !== from);
      if (to === undefined) throw new Error('There is one master.');
      return { from, to };
    },
  };
}

/** Keys of one slot: a tag in braces is a thing of tests alone, ids of the library have none. */
export function claimIn(tag: string, name: string) {
  const request = claimRequest();
  const id = `test|{${tag}}|${name}`;
  return { id, request, claim: { id, ownerToken: request.ownerToken } };
}

export async function idsFound(storage: IdempotencyStorage, idPrefix: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const { id } of storage.find({ idPrefix })) ids.push(id);
  return ids;
}
