import { describe, expect, it } from '@jest/globals';
import { readConfig } from './read-config.js';

const read = (env: Record<string, string>) => readConfig(env, '/checkout');

describe('the environment', () => {
  it('needs to say nothing: every variable has a default', () => {
    expect(read({})).toEqual({
      port: 3000,
      platform: 'express',
      storage: 'typeorm',
      transactional: true,
      lease: undefined,
      databaseUrl: undefined,
      redisUrl: 'redis://127.0.0.1:6379',
      paymentsUrl: undefined,
      amqpUrl: undefined,
      dataDir: '/checkout/.data',
    });
  });

  it('decides everything that it names', () => {
    const env = {
      PORT: '8080',
      PLATFORM: 'fastify',
      IDEMPOTENCY_STORAGE: 'redis',
      DATABASE_URL: 'postgres://me:secret@db:5432/shop',
      REDIS_URL: 'rediss://cache:6380',
      PAYMENTS_URL: 'https://bank:8443',
      AMQP_URL: 'amqps://me:secret@broker:5671/shop',
      LEASE: '2s',
      DATA_DIR: 'elsewhere',
    };
    expect(read(env)).toEqual({
      port: 8080,
      platform: 'fastify',
      storage: 'redis',
      transactional: false,
      lease: '2s',
      databaseUrl: 'postgres://me:secret@db:5432/shop',
      redisUrl: 'rediss://cache:6380',
      paymentsUrl: 'https://bank:8443',
      amqpUrl: 'amqps://me:secret@broker:5671/shop',
      dataDir: '/checkout/elsewhere',
    });
  });

  it.each(['postgres', 'postgresql', 'mariadb', 'mysql'])('may name a database as %s://', (protocol) => {
    expect(read({ DATABASE_URL: `${protocol}://db/shop` }).databaseUrl).toBe(`${protocol}://db/shop`);
  });

  it('keeps orders and records apart when told to, or when they live in two places', () => {
    expect(read({ TRANSACTIONAL: 'false' }).transactional).toBe(false);
    expect(read({ IDEMPOTENCY_STORAGE: 'memory' }).transactional).toBe(false);
  });

  it('counts a variable that is set to nothing as not set', () => {
    expect(read({ PORT: '', DATABASE_URL: ' ', PLATFORM: '' })).toEqual(read({}));
  });

  it.each([
    ['PORT', 'abc', '0 to 65535'],
    ['PORT', '70000', '0 to 65535'],
    ['PORT', '-1', '0 to 65535'],
    ['PORT', '3e3', '0 to 65535'],
    ['PLATFORM', 'koa', 'express, fastify'],
    ['PLATFORM', 'Express', 'express, fastify'],
    ['IDEMPOTENCY_STORAGE', 'postgres', 'memory, redis, typeorm'],
    ['DATABASE_URL', 'oracle://db/shop', 'postgres://'],
    ['DATABASE_URL', 'localhost:5432', 'postgres://'],
    ['REDIS_URL', 'http://cache', 'redis://'],
    ['PAYMENTS_URL', 'bank:8443', 'http://'],
    ['AMQP_URL', 'nats://broker', 'amqp://'],
    ['AMQP_URL', 'broker', 'amqp://'],
    ['TRANSACTIONAL', 'no', 'true, false'],
  ])('names %s, the value %s and what is allowed when they do not fit', (name, value, allowed) => {
    expect(() => read({ [name]: value })).toThrow(name);
    expect(() => read({ [name]: value })).toThrow(`'${value}'`);
    expect(() => read({ [name]: value })).toThrow(allowed);
  });

  it.each(['http://me:secret@bank', 'http://secret@bank'])(
    'has no use for a user in PAYMENTS_URL, and does not show it: %s',
    (url) => {
      expect(() => read({ PAYMENTS_URL: url })).toThrow('PAYMENTS_URL has a user or a password in it');
      expect(() => read({ PAYMENTS_URL: url })).not.toThrow('secret');
    },
  );

  it('never shows the password of a URL that does not fit', () => {
    expect(() => read({ DATABASE_URL: 'oracle://me:se@cret@db/shop' })).toThrow("'oracle://me:…@db/shop'");
    expect(() => read({ AMQP_URL: 'amqp://me:secret@broker:port' })).toThrow("'amqp://me:…@broker:port'");
    expect(() => read({ AMQP_URL: 'me:secret@broker' })).toThrow("'…@broker'");
  });
});
