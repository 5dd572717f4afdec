import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { encryptedCodec, gzipCodec, type Codec, type EncryptedOptions } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { connectAdmin, type AdminClient } from '../support/redis-fixture.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { platforms, start, type RunningApp } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';

const k1 = { id: 'k1', secret: Buffer.alloc(32, 1) };
const k2 = { id: 'k2', secret: Buffer.alloc(32, 2) };
const encrypted = (plaintext: EncryptedOptions['plaintext'], ...keys: EncryptedOptions['keys'][number][]) =>
  encryptedCodec({ keys, ...(plaintext === undefined ? {} : { plaintext }) });

let redis: RedisServer;
let admin: AdminClient;

beforeAll(async () => {
  redis = await startRedis();
  admin = await connectAdmin(redis.url);
});
afterAll(async () => {
  await admin.close();
  await redis.stop();
});
beforeEach(() => admin.flushAll());

type Step = readonly [what: string, codec: readonly Codec[] | undefined];

/** What one deploys after the other, each beside the one before it. */
const RECIPES: readonly (readonly [name: string, steps: readonly Step[]])[] = [
  [
    'a new key, by two deployments and a third after the ttl',
    [
      ['the old key', [encrypted(undefined, k1)]],
      ['the new key, which only decrypts', [encrypted(undefined, k1, k2)]],
      ['the new key, which encrypts', [encrypted(undefined, k2, k1)]],
    ],
  ],
  [
    'compression',
    [
      ['no codec', undefined],
      ['one that only reads', [gzipCodec({ threshold: Infinity })]],
      ['one that writes', [gzipCodec({ threshold: 0 })]],
    ],
  ],
  [
    'encryption',
    [
      ['no codec', undefined],
      ["plaintext: 'write'", [encrypted('write', k1)]],
      ["plaintext: 'read'", [encrypted('read', k1)]],
    ],
  ],
  [
    'no encryption any more',
    [
      ['encryption', [encrypted(undefined, k1)]],
      ["plaintext: 'read'", [encrypted('read', k1)]],
      ["plaintext: 'write'", [encrypted('write', k1)]],
    ],
  ],
  [
    'compression under encryption',
    [
      ['encryption', [encrypted(undefined, k1)]],
      ['compression that only reads', [gzipCodec({ threshold: Infinity }), encrypted(undefined, k1)]],
      ['both', [gzipCodec({ threshold: 0 }), encrypted(undefined, k1)]],
    ],
  ],
];

describe.each(platforms)('a codec that changes by rolling deployments, on %s', (platform) => {
  const handler = () => countingHandler();
  const startWith = (codec: Step[1], handling: ReturnType<typeof handler>): Promise<RunningApp> =>
    start(platform, {
      controllers: [ordersController(handling)],
      options: {
        namespace: 'shop',
        storage: redisStorage({ url: redis.url }),
        ...(codec === undefined ? {} : { codec }),
      },
    });

  it.each(RECIPES)('for %s: each version replays what it and its neighbours wrote', async (_name, steps) => {
    const handling = handler();
    const apps = await Promise.all(steps.map(([, codec]) => startWith(codec, handling)));
    const first = await Promise.all(apps.map((app, at) => send(app, '/orders', { key: `k${at}`, body: {} })));
    const seen: string[] = [];
    for (const [reader, app] of apps.entries()) {
      for (const [writer, answer] of first.entries()) {
        if (writer > reader + 1) continue; // two versions ahead: never beside it
        expectReplayOf(answer, await send(app, '/orders', { key: `k${writer}`, body: {} }));
        seen.push(`${reader}<${writer}`);
      }
    }
    expect(seen).toEqual(['0<0', '0<1', '1<0', '1<1', '1<2', '2<0', '2<1', '2<2']);
    expect(handling.runs).toBe(steps.length);
  });

  it.each<readonly [string, Step[1], Step[1]]>([
    ['a key that encrypts before all have it', [encrypted(undefined, k1)], [encrypted(undefined, k2, k1)]],
    [
      'a key that was removed before the ttl was over',
      [encrypted(undefined, k2)],
      [encrypted(undefined, k1)],
    ],
    ['encryption at once: what it wrote', undefined, [encrypted(undefined, k1)]],
    ['encryption at once: what it finds', [encrypted(undefined, k1)], undefined],
    ['compression at once', undefined, [gzipCodec({ threshold: 0 })]],
  ])(
    'but not by a shortcut (%s): that is refused, and the handler does not run again',
    async (_name, reader, writer) => {
      const handling = handler();
      const apps = [await startWith(writer, handling), await startWith(reader, handling)] as const;
      await send(apps[0], '/orders', { key: 'k', body: {} });
      expectProblem(await send(apps[1], '/orders', { key: 'k', body: {} }), 500, 'record-unreadable');
      expect(handling.runs).toBe(1);
    },
  );
});
