import { Controller, Get, Module } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterEach, describe, expect, it } from '@jest/globals';
import { IdempotencyModule, memoryStorage, type IdempotencyStorage } from 'nestjs-idempotent';
import { FakeClock, MemoryStorage } from 'nestjs-idempotent/testing';
import { createServer } from 'node:http2';
import { boot, mistakeOf, withModule, withRoute } from './support/boot.js';

const environment = process.env['NODE_ENV'];

afterEach(() => {
  process.env['NODE_ENV'] = environment;
});

describe('an app does not boot without, or with too much of, IdempotencyModule:', () => {
  it('@Idempotent() and no forRoot', async () => {
    expect(await mistakeOf(() => ({ controllers: withRoute({}).controllers ?? [] }))).toBe(
      '@Idempotent() on OrdersController.create has no storage. Add IdempotencyModule.forRoot({ storage: redisStorage({ url }) }) to AppModule.',
    );
  });

  it('forRoot twice, with equal or with other options', async () => {
    for (const ttl of ['24h', '1h']) {
      @Module({ imports: [IdempotencyModule.forRoot({ ttl })] })
      class Feature {}
      const app = () => ({ imports: [IdempotencyModule.forRoot({ ttl: '24h' }), Feature] });

      expect(await mistakeOf(app)).toMatch(
        /^IdempotencyModule\.forRoot\(\) is imported more than once.*Import it in the root module alone/,
      );
    }
  });

  it('the bare class, alone or beside forRoot', async () => {
    expect(await mistakeOf(() => ({ imports: [IdempotencyModule] }))).toMatch(
      /^IdempotencyModule has no options\. Import `IdempotencyModule\.forRoot\(\{ storage \}\)` in the root module/,
    );
    @Module({ imports: [IdempotencyModule] })
    class Feature {}
    expect(await mistakeOf(() => ({ imports: [IdempotencyModule.forRoot({}), Feature] }))).toMatch(
      /is imported more than once/,
    );
  });

  it('a factory that gives no options', async () => {
    const idempotency = IdempotencyModule.forRootAsync({ useFactory: () => undefined as never });

    expect(await mistakeOf(() => ({ imports: [idempotency] }))).toMatch(
      /A `useFactory` must return the options/,
    );
  });

  it('HTTP/2 with Express, which does not know it', async () => {
    class Bridged extends ExpressAdapter {
      override initHttpServer(): void {
        this.httpServer = createServer() as never;
      }
    }

    expect(await mistakeOf(() => withModule({}), new Bridged())).toMatch(
      /records responses over HTTP\/2 on Fastify alone.*serve HTTP\/1\.1 behind a proxy/,
    );
  });

  it('but not HTTP/2 with Fastify', async () => {
    await boot(withModule({}), new FastifyAdapter({ http2: true } as object));
  });

  it('but it does when one forRoot() is imported by several modules', async () => {
    const idempotency = IdempotencyModule.forRoot();
    @Module({ imports: [idempotency] })
    class Feature {}

    await boot({ imports: [idempotency, Feature] });
  });
});

describe('where records are kept', () => {
  const shared = (): IdempotencyStorage => {
    const storage = new MemoryStorage({ clock: new FakeClock() });
    return Object.defineProperties(storage, { name: { value: 'redis' }, shared: { value: true } });
  };

  it('is memory without a storage, with a warning', async () => {
    const warnings = await boot(withModule({}));

    expect(warnings).toEqual([
      expect.stringMatching(/^No `storage`: records live in the memory of this process/),
    ]);
  });

  it('must be said in production; memory may be said', async () => {
    process.env['NODE_ENV'] = 'production';

    expect(await mistakeOf(() => withModule({}))).toMatch(
      /^IdempotencyModule has no `storage`, and NODE_ENV is production.*Add `storage: redisStorage\(\{ url \}\)`/,
    );
    expect(await boot(withModule({ storage: memoryStorage() }))).toEqual([]);
  });

  it.each(['production', 'development', undefined])(
    'needs a namespace when others may share it and NODE_ENV is %s',
    async (value) => {
      if (value === undefined) delete process.env['NODE_ENV'];
      else process.env['NODE_ENV'] = value;

      expect(await mistakeOf(() => withModule({ storage: shared() }))).toMatch(
        /^IdempotencyModule has no `namespace`, and the storage `redis` may be shared.*such as `namespace: 'shop'`/,
      );
      await boot(withModule({ storage: shared(), namespace: 'shop' }));
    },
  );

  it('needs none in tests', async () => {
    process.env['NODE_ENV'] = 'test';

    await boot(withModule({ storage: shared() }));
  });
});

describe('an app boots', () => {
  it('with controllers, providers and values that are none of the library’s business', async () => {
    @Controller('plain')
    class Plain {
      @Get()
      get() {
        return 'plain';
      }
    }
    const providers = [
      { provide: 'NULL', useValue: null },
      { provide: 'FUNCTION', useFactory: () => () => 'called' },
      { provide: 'BARE', useValue: Object.create(null) as object },
      { provide: 'LIST', useValue: [1, 2] },
    ];

    await boot({ ...withModule({}), controllers: [Plain], providers });
  });
});
