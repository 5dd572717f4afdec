import { afterAll, beforeAll } from '@jest/globals';
import { ioredisSentinel, nodeRedisSentinel } from '../support/redis-clients.js';
import { redisHarness } from '../support/redis-harness.js';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { describeContract } from './contract-column.js';

let group: RedisSentinel;
beforeAll(async () => {
  group = await RedisSentinel.start();
}, 60_000);
afterAll(() => group.stop());

// With every change confirmed by the replica, so that this way through is held to all clauses too.
const waitReplicas = { replicas: 1, timeout: '2s' };
describeContract('Sentinel, node-redis', () =>
  redisHarness(() => nodeRedisSentinel(group), { waitReplicas }),
);
describeContract('Sentinel, ioredis', () => redisHarness(() => ioredisSentinel(group), { waitReplicas }));
