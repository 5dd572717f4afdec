import { All, Controller, Module, Post, type INestApplication } from '@nestjs/common';
import { RouterModule } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotencyService } from 'nestjs-idempotent';
import { platforms, start, type AppOptions } from './support/apps.js';
import { operationsOf } from './support/operations-of.js';
import { sendRaw, type Sending } from './support/requests.js';

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

@Module({ controllers: [Orders] })
class OrdersModule {}

describe.each(platforms)('the name of an operation on %s', (platform) => {
  const named = (app: AppOptions, paths: readonly [string, Sending?][]) => operationsOf(platform, app, paths);

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
