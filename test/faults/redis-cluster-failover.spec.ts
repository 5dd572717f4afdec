import { afterEach, describe, expect, it } from '@jest/globals';
import { RedisCluster, type Shard } from '../support/redis-cluster.js';
import { failOverCluster } from './redis/failover.js';
import { ANSWERED, onceAndOneAnswer, underLoad, type LoadResult } from './redis/under-load.js';

const KEYS_BETWEEN = 50;

let cluster: RedisCluster | undefined;
afterEach(() => cluster?.stop());

/**
 * Clients send keys all the time while one master is killed and its replica promoted, and while another one stands still
 * until it is replaced, and comes back.
 */
async function twoFailovers(storage: object, whileFrozen: boolean): Promise<LoadResult> {
  const running = (cluster = await RedisCluster.start({ replicas: 1 }));
  const ports = running.nodes.map(({ port }) => port);
  const [first, second] = (await running.shards()) as [Shard, Shard];
  return underLoad({
    client: { kind: 'cluster', ports },
    storage,
    async faults(load) {
      const more = () => load.begun(load.keysBegun + KEYS_BETWEEN);
      await more();
      await failOverCluster(running, first, 'killed');
      await more();
      // Were its slots not served by the new master, keys would soon be begun no more.
      await failOverCluster(running, second, 'frozen', whileFrozen ? more : undefined);
      await more();
    },
  });
}

describe('two processes on a Redis Cluster of which masters are killed and frozen under load', () => {
  it('give an answer for every key, and where a failover lost a record its operation ran again', async () => {
    const result = await twoFailovers({}, true);
    process.stdout.write(`Cluster, a master killed, another one frozen: ${result.summary}\n`);
    expect(result).toMatchObject(ANSWERED);
  }, 150_000);

  it('run every key once and give one answer for it with `waitReplicas: 1`', async () => {
    // A frozen node is no replica of the one that took its place, so its slots are refused meanwhile.
    const result = await twoFailovers({ waitReplicas: 1 }, false);
    process.stdout.write(`Cluster, a master killed, another one frozen, waitReplicas 1: ${result.summary}\n`);
    expect(result).toMatchObject(onceAndOneAnswer(result));
  }, 150_000);
});
