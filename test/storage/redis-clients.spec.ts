import { afterEach, describe, expect, it } from '@jest/globals';
import { createClient, RESP_TYPES } from 'redis';
import { InvalidOptionsError } from '../../libs/idempotency/src/core/errors.js';
import {
  redisStorage,
  type NodeRedisClient,
  type RedisStorageOptions,
} from '../../libs/idempotency/src/redis/index.js';
import { claimRequest, listeningHost, newClaim, useRedis } from '../support/redis-fixture.js';
import { expectBytesKept, expectPrefixed } from '../support/redis-expectations.js';

const redis = useRedis();
const opened: { readonly isOpen: boolean; destroy(): void }[] = [];

/** A client that is destroyed after the test, if the test or the storage has not done so. */
function ours<T extends { readonly isOpen: boolean; destroy(): void }>(client: T): T {
  opened.push(client);
  return client;
}
afterEach(() => {
  for (const client of opened.splice(0)) if (client.isOpen) client.destroy();
});

describe('a client handed in', () => {
  const clients = {
    'that speaks RESP2': () => createClient({ url: redis.server.url, RESP: 2 }),
    'that speaks RESP3': () => createClient({ url: redis.server.url, RESP: 3 }),
    'that maps texts to Buffers': () =>
      createClient({
        url: redis.server.url,
        commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
      }),
    'that maps numbers to texts': () =>
      createClient({
        url: redis.server.url,
        RESP: 2,
        commandOptions: { typeMapping: { [RESP_TYPES.NUMBER]: String } },
      }),
  };

  for (const [which, make] of Object.entries(clients)) {
    it(`${which} gets bytes back as they were`, async () => {
      const client = ours(make());
      client.on('error', () => {});
      await client.connect();
      await expectBytesKept(client);
    });
  }

  it('has its `keyPrefix` before every key', async () => {
    const keyPrefix = 'app[1]:';
    const client = ours(createClient({ url: redis.server.url, keyPrefix }));
    client.on('error', () => {});
    await client.connect();
    await expectBytesKept(client);
    await expectPrefixed(client, keyPrefix, () => redis.admin.keys('*'));
  });

  it('is never closed, and is used again after the next start', async () => {
    const client = ours(createClient({ url: redis.server.url }));
    client.on('error', () => {});
    await client.connect();
    const own = redisStorage({ client });
    await own.start?.();
    await own.stop?.();
    expect(client.isReady).toBe(true);
    await expect(client.ping()).resolves.toBe('PONG');
    await own.start?.();
    await expect(own.claim(newClaim().id, claimRequest())).resolves.toMatchObject({ kind: 'claimed' });
  });

  it('is refused while nobody has connected it, and left unconnected', async () => {
    const client = createClient({ url: redis.server.url });
    const start = redisStorage({ client }).start?.();
    await expect(start).rejects.toThrow(InvalidOptionsError);
    await expect(start).rejects.toThrow('`await client.connect()` before the application starts');
    expect(client.isOpen).toBe(false);
  });

  it('is waited for while it connects', async () => {
    const client = ours(createClient({ url: redis.server.url }));
    client.on('error', () => {});
    const connecting = client.connect();
    expect(client.isReady).toBe(false);
    const own = redisStorage({ client });
    await own.start?.();
    await connecting;
    await expect(own.claim(newClaim().id, claimRequest())).resolves.toMatchObject({ kind: 'claimed' });
  });

  it('without an error listener is warned of', async () => {
    const host = listeningHost();
    const client = await ours(createClient({ url: redis.server.url })).connect();
    await redisStorage({ client }).start?.(host);
    expect(host.warnings).toEqual([expect.stringContaining('has no `error` listener')]);
    client.on('error', () => {});
    await redisStorage({ client }).start?.(host);
    expect(host.warnings).toHaveLength(1);
  });

  it('that turns bytes into texts, as node-redis 4 does, is refused', async () => {
    const client: NodeRedisClient = {
      isOpen: true,
      isReady: true,
      sendCommand: (command) => redis.admin.sendCommand([...command]),
    };
    await expect(redisStorage({ client }).start?.()).rejects.toThrow(
      'Use the package `redis` 5 or 6, or `ioredis` 5.',
    );
  });
});

describe('redisStorage refuses at once', () => {
  const client = createClient();
  const mistakes: readonly (readonly [string, object, string])[] = [
    ['no options', {}, 'neither `url` nor `client` is given'],
    ['both', { url: 'redis://localhost', client }, '`url` and `client` contradict each other'],
    ['an unknown option', { uri: 'redis://localhost' }, '`uri` is not an option'],
    ['a url of something else', { url: 'https://localhost' }, '`url` is not the address of a Redis'],
    ['a url that is none', { url: 'localhost:6379' }, '`url` is not the address of a Redis'],
    ['an empty url', { url: '' }, '`url` is not the address of a Redis'],
    [
      'a client for Sentinel that does not lead to its primary',
      {
        client: { isOpen: true, isReady: true, sendCommand: () => undefined, getMasterNode: () => undefined },
      },
      'has no `_execute` that leads to their primary',
    ],
    ['something else as client', { client: new Map() }, '`client` is not a client that can be used'],
  ];

  for (const [what, options, message] of mistakes) {
    it(`${what}, in a sentence that names the option`, () => {
      expect(() => redisStorage(options as RedisStorageOptions)).toThrow(InvalidOptionsError);
      expect(() => redisStorage(options as RedisStorageOptions)).toThrow(message);
    });
  }

  it('a wrong url without telling the password in it', () => {
    expect(() => redisStorage({ url: 'reddis://user:secret@localhost' })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('secret') }),
    );
  });
});
