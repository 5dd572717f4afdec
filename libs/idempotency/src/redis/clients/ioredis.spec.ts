import { describe, expect, it } from '@jest/globals';
import { Redis, type RedisOptions } from 'ioredis';
import { fromIoredis } from './ioredis.js';

const warningsOf = (options: RedisOptions) =>
  fromIoredis(new Redis({ lazyConnect: true, ...options })).warnings();
const behindSentinels = { name: 'main', sentinels: [{ host: '127.0.0.1', port: 1 }] };

describe('a client of ioredis', () => {
  it('behind Sentinels is warned of when it would stay with a primary that stands still', () => {
    expect(warningsOf(behindSentinels)).toEqual([expect.stringContaining('`socketTimeout: 5000`')]);
    expect(warningsOf({ ...behindSentinels, socketTimeout: 5_000 })).toEqual([]);
  });

  it('of a single server needs no such timeout', () => {
    expect(warningsOf({})).toEqual([]);
  });
});
