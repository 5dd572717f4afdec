import { describe, expect, it } from '@jest/globals';
import { Redis, type RedisOptions } from 'ioredis';
import { fromIoredis } from './ioredis.js';

const warningsOf = (options: RedisOptions) =>
  fromIoredis(new Redis({ lazyConnect: true, ...options })).warnings();
const behindSentinels = { name: 'main', sentinels: [{ host: '127.0.0.1', port: 1 }] };

describe('a client of ioredis', () => {
  it('behind Sentinels is warned of when it does not hear of a failover from them', () => {
    expect(warningsOf(behindSentinels)).toEqual([expect.stringContaining('`failoverDetector: true`')]);
    expect(warningsOf({ ...behindSentinels, failoverDetector: true })).toEqual([]);
  });

  it('of a single server needs no detector', () => {
    expect(warningsOf({})).toEqual([]);
  });
});
