import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { RedisCluster } from '../support/redis-cluster.js';
import type { RedisNode } from '../support/redis-node.js';
import { keysInSlots } from './redis/keys.js';
import { moveSlots } from './redis/move-slots.js';
import { onceAndOneAnswer, underLoad } from './redis/under-load.js';

/** All keys of the load lie in these slots of the first node. */
const SLOTS = { first: 100, count: 16 };
const KEYS = 240;

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start();
}, 60_000);
afterAll(() => cluster.stop());

it('two processes on a Redis Cluster run every key once and give one answer for it while its slot moves', async () => {
  const [a, b, c] = cluster.masters as [RedisNode, RedisNode, RedisNode];
  const ways = [
    [a, b],
    [b, c],
    [c, a],
  ] as const;
  let [moves, records] = [0, 0];
  const result = await underLoad({
    client: { kind: 'cluster', ports: cluster.nodes.map(({ port }) => port) },
    // Long enough that only a call that went astray takes longer.
    options: { storageTimeout: '10s' },
    keys: keysInSlots(SLOTS, KEYS),
    async faults(load) {
      for (; load.isRunning; moves += 1) {
        const [from, to] = ways[moves % 3] as (typeof ways)[number];
        records += await moveSlots(cluster, SLOTS, from, to);
      }
    },
  });
  process.stdout.write(
    `Cluster: ${SLOTS.count} slots with all keys moved ${moves} times, with ${records} records · ${result.summary}\n`,
  );
  expect(result).toMatchObject({ ...onceAndOneAnswer(result), keys: KEYS, markedKeys: 0 });
  expect(records).toBeGreaterThan(KEYS / 4);
}, 150_000);
