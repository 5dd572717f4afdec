import {
  All,
  Controller,
  Module,
  Post,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
  type INestApplication,
} from '@nestjs/common';
import { RouterModule } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotencyService } from 'nestjs-idempotent';
import { platforms, start, type AppOptions } from './support/apps.js';
import { send, type Sending } from './support/requests.js';

@Controller('orders')
class Orders {
  @Post()
  @Idempotent()
  create() {
    return 'create';
  }
  @Post(':id/payments')
  @Idempotent()
  pay() {
    return 'pay';
  }
  @Post(['left', 'right/'])
  @Idempotent()
  both() {
    return 'both';
  }
  @All('any')
  @Idempotent()
  any() {
    return 'any';
  }
  @Post('named')
  @Idempotent({ operation: 'orders.named' })
  named() {
    return 'named';
  }
}

@Controller({ path: 'orders', version: '1' })
class OrdersV1 {
  @Post()
  @Idempotent()
  create() {
    return 'v1';
  }
  @Post()
  @Version(['2', '3'])
  @Idempotent()
  createAnew() {
    return 'v2 or v3';
  }
  @Post('neutral')
  @Version(VERSION_NEUTRAL)
  @Idempotent()
  neutral() {
    return 'neutral';
  }
}

@Module({ controllers: [Orders] })
class OrdersModule {}

/** Sends a request with a key of its own and answers the names of the records that there are then. */
async function operationsOf(
  app: AppOptions,
  paths: readonly [string, Sending?][],
  platform: (typeof platforms)[number],
) {
  const { app: nest, url } = await start(platform, app);
  const service = nest.get(IdempotencyService);
  const names: string[] = [];
  for (const [path, sending] of paths) {
    const answer = await send({ url }, path, { key: 'k', ...sending });
    expect(answer.status).toBeLessThan(300);
    for await (const { operation, id } of service.find()) {
      names.push(operation);
      await service.forget(id);
    }
  }
  return names;
}

describe.each(platforms)('the name of an operation on %s', (platform) => {
  const named = (app: AppOptions, paths: readonly [string, Sending?][]) => operationsOf(app, paths, platform);

  it('is the method and the template of the route, whatever its parameters and its query are', async () => {
    const names = await named({ controllers: [Orders] }, [
      ['/orders'],
      ['/orders?a=1'],
      ['/orders/7/payments'],
      ['/orders/left'],
      ['/orders/right'],
      ['/orders/any', { method: 'PUT' }],
      ['/orders/any', { method: 'DELETE' }],
    ]);

    expect(names).toEqual([
      'POST /orders',
      'POST /orders',
      'POST /orders/:id/payments',
      'POST /orders/left',
      'POST /orders/right',
      'PUT /orders/any',
      'DELETE /orders/any',
    ]);
  });

  it('has one form for wildcards, which each platform writes in its own way', async () => {
    @Controller('files')
    class Files {
      @Post(platform === 'express' ? '*path' : '*')
      @Idempotent()
      upload() {
        return 'uploaded';
      }
    }

    expect(await named({ controllers: [Files] }, [['/files/a/b']])).toEqual(['POST /files/*']);
  });

  it('may be given', async () => {
    expect(await named({ controllers: [Orders] }, [['/orders/named']])).toEqual(['orders.named']);
  });

  it('holds the global prefix and the path of a RouterModule', async () => {
    const app: AppOptions = {
      imports: [OrdersModule, RouterModule.register([{ path: 'shop/:shop', module: OrdersModule }])],
      prepare: (nest) => void nest.setGlobalPrefix('api'),
    };

    expect(await named(app, [['/api/shop/7/orders'], ['/api/shop/7/orders/8/payments']])).toEqual([
      'POST /api/shop/:shop/orders',
      'POST /api/shop/:shop/orders/:id/payments',
    ]);
  });

  it('does not hold a prefix that the route is excluded from', async () => {
    const prepare = (nest: INestApplication) => void nest.setGlobalPrefix('api', { exclude: ['orders'] });

    expect(await named({ controllers: [Orders], prepare }, [['/orders'], ['/api/orders/left']])).toEqual([
      'POST /orders',
      'POST /api/orders/left',
    ]);
  });

  it('holds the version of the URI', async () => {
    const prepare = (nest: INestApplication) => void nest.enableVersioning({ type: VersioningType.URI });

    expect(
      await named({ controllers: [OrdersV1], prepare }, [
        ['/v1/orders'],
        ['/v2/orders'],
        ['/v3/orders'],
        ['/orders/neutral'],
      ]),
    ).toEqual(['POST /v1/orders', 'POST /v2/orders', 'POST /v3/orders', 'POST /orders/neutral']);
  });

  it.each<
    [string, Parameters<INestApplication['enableVersioning']>[0], (version: string) => Record<string, string>]
  >([
    [
      'a header',
      { type: VersioningType.HEADER, header: 'X-Version' },
      (version) => ({ 'X-Version': version }),
    ],
    [
      'the media type',
      { type: VersioningType.MEDIA_TYPE, key: 'v=' },
      (version) => ({ Accept: `application/json;v=${version}` }),
    ],
    [
      'something of the app’s own',
      {
        type: VersioningType.CUSTOM,
        extractor: (request) => (request as { headers: Record<string, string> }).headers['x-own'] ?? '',
      },
      (version) => ({ 'X-Own': version }),
    ],
  ])(
    'holds the version that comes in %s, so one key makes a record for each',
    async (_what, versioning, headers) => {
      const prepare = (nest: INestApplication) => void nest.enableVersioning(versioning);

      expect(
        await named({ controllers: [OrdersV1], prepare }, [
          ['/orders', { headers: headers('1') }],
          ['/orders', { headers: headers('2') }],
          ['/orders', { headers: headers('3') }],
          ['/orders/neutral'],
        ]),
      ).toEqual(['POST /orders v1', 'POST /orders v2,3', 'POST /orders v2,3', 'POST /orders/neutral']);
    },
  );

  it('holds the version of the controller that inherits the route', async () => {
    abstract class Base {
      @Post()
      @Idempotent()
      create() {
        return this.constructor.name;
      }
    }
    @Controller({ path: 'orders', version: '1' })
    class First extends Base {}
    @Controller({ path: 'orders', version: '2' })
    class Second extends Base {}
    const { app, url } = await start(platform, {
      controllers: [First, Second],
      prepare: (nest) => void nest.enableVersioning({ type: VersioningType.HEADER, header: 'X-Version' }),
    });

    const first = await send({ url }, '/orders', { key: 'k', headers: { 'X-Version': '1' } });
    const second = await send({ url }, '/orders', { key: 'k', headers: { 'X-Version': '2' } });

    expect([first.text, second.text]).toEqual(['First', 'Second']);
    const names: string[] = [];
    for await (const { operation } of app.get(IdempotencyService).find()) names.push(operation);
    expect(names.sort()).toEqual(['POST /orders v1', 'POST /orders v2']);
  });
});

describe('the name of an operation of a controller for one host, on express', () => {
  it('holds the host, so one key makes a record for each, and so do its parameters', async () => {
    @Controller({ path: 'orders', host: 'one.test' })
    class One {
      @Post()
      @Idempotent()
      create() {
        return 'one';
      }
    }
    @Controller({ path: 'orders', host: ':tenant.two.test' })
    class Two {
      @Post()
      @Idempotent()
      create() {
        return 'two';
      }
    }
    const { app, url } = await start('express', { controllers: [One, Two] });
    const { sendRaw } = await import('./support/requests.js');
    const to = async (host: string) => {
      const text = await sendRaw({ url }, ['POST /orders HTTP/1.1', 'Idempotency-Key: k'], '', host);
      return text.split('\r\n\r\n')[1];
    };

    expect([await to('one.test'), await to('a.two.test')]).toEqual(['one', 'two']);
    expect(await to('b.two.test')).toContain('key-reused');
    const names: string[] = [];
    for await (const { operation } of app.get(IdempotencyService).find()) names.push(operation);
    expect(names.sort()).toEqual(['POST /orders @:tenant.two.test', 'POST /orders @one.test']);
  });
});
