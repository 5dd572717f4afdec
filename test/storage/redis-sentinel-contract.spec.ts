import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { ioredisSentinel, nodeRedisSentinel, type AppClient } from '../support/redis-clients.js';
import { expectBytesKept, expectPrefixed } from '../support/redis-expectations.js';
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

describe.each<{ library: string; connect: (keyPrefix: string) => Promise<AppClient> }>([
  { library: 'node-redis', connect: (keyPrefix) => nodeRedisSentinel(group, { keyPrefix }) },
  { library: 'ioredis', connect: (keyPrefix) => ioredisSentinel(group, { keyPrefix }) },
])('a Sentinel client of $library with a `keyPrefix`', ({ connect }) => {
  it('has it before every key', async () => {
    const primary = await group.primary();
    await primary.command('FLUSHALL');
    const { client, close } = await connect('app[1]:');
    try {
      await expectBytesKept(client);
      await expectPrefixed(client, 'app[1]:', async () =>
        ((await primary.command('KEYS', '*')) as unknown[]).map(String),
      );
    } finally {
      await close();
    }
  });
});
