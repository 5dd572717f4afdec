import { describe, expect, it } from '@jest/globals';
import { Controller, Post } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import {
  encryptedCodec,
  gzipCodec,
  Idempotent,
  InvalidOptionsError,
  messageKey,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { boot, mistakeOf, withModule, withRoute } from './support/boot.js';

const encrypted = encryptedCodec({ keys: [{ id: 'k', secret: '44'.repeat(32) }] });

describe('an app does not boot with a `codec` that', () => {
  it.each<readonly [string, unknown, string]>([
    ['is none', {}, '`codec` must be a codec or a list of codecs: gzipCodec(), encryptedCodec({ keys })'],
    ['is the function itself', gzipCodec, '`codec` must be a codec'],
    ['is a name', 'gzip', '`codec` must be a codec'],
    ['is a list with something else in it', [gzipCodec(), null], '`codec` must be a codec'],
    [
      'compresses what is encrypted',
      [encrypted, gzipCodec()],
      'write `[gzipCodec(), encryptedCodec({ keys })]`',
    ],
  ])('%s', async (_what, codec, sentence) => {
    expect(await mistakeOf(() => withModule({ codec }))).toMatch(/^IdempotencyModule: `codec`/);
    const onRoute = await mistakeOf(() => withRoute({ codec }));
    expect(onRoute).toMatch(/^@Idempotent\(\) on OrdersController\.create: `codec`/);
    expect(onRoute).toContain(sentence);
  });

  it('has no keys: the sentence is there before the app is', () => {
    expect(() => encryptedCodec({ keys: [] })).toThrow(InvalidOptionsError);
    expect(() => gzipCodec({ level: 11 })).toThrow(InvalidOptionsError);
    expect(() => encryptedCodec(undefined as never)).toThrow('`keys` must be a list of at least one key');
  });

  it('but it does with one, several, none, and one of its own', async () => {
    const own = { name: 'own', encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes };
    for (const codec of [encrypted, [gzipCodec(), encrypted], [], own, undefined]) {
      await boot(withRoute({ codec }, { codec: own }));
    }
  });
});

describe('a route and a consumer that share an operation', () => {
  const withBoth = (ofRoute: IdempotentOptions, ofConsumer: IdempotentOptions) => {
    @Controller('orders')
    class Orders {
      @Post()
      @Idempotent({ operation: 'order', ...ofRoute })
      create() {
        return 'created';
      }
      @MessagePattern('order')
      @Idempotent({ operation: 'order', ...ofConsumer, key: messageKey('id') })
      consume() {
        return 'created';
      }
    }
    return { ...withModule({ codec: gzipCodec() }), controllers: [Orders] };
  };

  it('must share its codec: without it neither could read what the other wrote', async () => {
    expect(await mistakeOf(() => withBoth({ codec: encrypted }, {}))).toContain(
      "another handler has the `operation` 'order' too and shares its records, and their `codec` is not the same",
    );
    await boot(withBoth({}, {}));
    await boot(withBoth({ codec: encrypted }, { codec: encrypted }));
  });
});

describe('an app does not boot with a `localCache` that', () => {
  it.each<readonly [string, unknown, string]>([
    ['is true', true, '`localCache` must be { maxBytes'],
    ['is a number', 1000, '`localCache` must be { maxBytes'],
    [
      'has no maxBytes',
      { ttl: '10s' },
      '`localCache.maxBytes` is of type undefined; it must be a whole number of bytes',
    ],
    ['has maxBytes of 0', { maxBytes: 0 }, '`localCache.maxBytes` is 0'],
    ['has half a byte', { maxBytes: 1.5 }, '`localCache.maxBytes` is 1.5'],
    ['has maxBytes as text', { maxBytes: '16mb' }, '`localCache.maxBytes` is of type string'],
    ['has an unknown member', { maxBytes: 1000, max: 5 }, '`localCache.max` is not an option'],
    ['has a ttl that is none', { maxBytes: 1000, ttl: 0 }, '`localCache.ttl` is 0, which is not a duration'],
    ['has a ttl in milliseconds', { maxBytes: 1000, ttl: 10_000 }, '`localCache.ttl` is 10000 seconds'],
    ['has a ttl of more than an hour', { maxBytes: 1000, ttl: '2h' }, '`localCache.ttl` is 2h: for so long'],
  ])('%s', async (_what, localCache, sentence) => {
    expect(await mistakeOf(() => withModule({ localCache }))).toContain(`IdempotencyModule: ${sentence}`);
    expect(await mistakeOf(() => withRoute({ localCache }))).toContain(sentence);
  });

  it('but it does with one of its own, the shared one, and none', async () => {
    const shared = { maxBytes: 16_777_216 };
    for (const localCache of [
      { maxBytes: 1, ttl: '1h' },
      { maxBytes: 5, ttl: 3600 },
      shared,
      false,
      undefined,
    ]) {
      await boot(withRoute({ localCache }, { localCache: shared }));
    }
  });
});
