import { afterAll, beforeAll } from '@jest/globals';
import { ioredisCluster, nodeRedisCluster } from '../support/redis-clients.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { redisHarness } from '../support/redis-harness.js';
import { describeContract } from './contract-column.js';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start();
}, 60_000);
afterAll(() => cluster.stop());

describeContract('Cluster, node-redis', () => redisHarness(() => nodeRedisCluster(cluster)));
describeContract('Cluster, ioredis', () => redisHarness(() => ioredisCluster(cluster)));
