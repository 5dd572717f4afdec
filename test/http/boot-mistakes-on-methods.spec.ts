import { Controller, Injectable, Post, SetMetadata, Sse, type ModuleMetadata } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import { bodyKey, headerKey, Idempotent, paramKey, SkipIdempotency } from 'nestjs-idempotent';
import { mistakeOf, withControllers, withMethod, withModule } from './support/boot.js';

type Case = readonly [what: string, app: () => ModuleMetadata, sentence: RegExp];

describe('an app does not boot with @Idempotent() where it would protect nothing:', () => {
  it.each<Case>([
    [
      'on an @Sse() stream',
      () => withMethod(Sse('events'), Idempotent()),
      /OrdersController\.handle: an @Sse\(\) stream has no end.*Remove @Idempotent\(\)/,
    ],
    ['above an @Sse() stream', () => withMethod(Idempotent(), Sse('events')), /an @Sse\(\) stream/],
    [
      'on a subscription',
      () => withMethod(SetMetadata('graphql:resolver_type', 'Subscription'), Idempotent()),
      /a subscription has no single answer.*Remove @Idempotent\(\)/,
    ],
    [
      'with bodyKey on a message handler',
      () => withMethod(MessagePattern('orders'), Idempotent({ key: bodyKey('id') })),
      /bodyKey\('id'\) reads an HTTP request, and this is a message handler\. Use messageKey\('id'\)/,
    ],
    [
      'with paramKey on a message handler',
      () => withMethod(MessagePattern('orders'), Idempotent({ key: [headerKey('a'), paramKey('id')] })),
      /paramKey\('id'\) reads an HTTP request/,
    ],
    [
      'beside @SkipIdempotency()',
      () => withMethod(Post(), SkipIdempotency(), Idempotent()),
      /also has @SkipIdempotency\(\)\. Remove one of them/,
    ],
    [
      'on a mutation of a class that is no resolver',
      () => withMethod(SetMetadata('graphql:resolver_type', 'Mutation'), Idempotent()),
      /no interceptor reaches this method/,
    ],
    [
      'on a message of a class that is no gateway',
      () => withMethod(SetMetadata('websockets:message_mapping', true), Idempotent()),
      /no interceptor reaches this method/,
    ],
    [
      'on a method that is no route',
      () => withMethod(Idempotent()),
      /no interceptor reaches this method.*Move @Idempotent\(\) to the route, or call IdempotencyService\.run\(\)/,
    ],
  ])('%s', async (_what, app, sentence) => {
    const message = await mistakeOf(app);

    expect(message).toMatch(/^@Idempotent\(\) on OrdersController\.handle/);
    expect(message).toMatch(sentence);
  });

  @Injectable()
  class OrdersService {
    @Idempotent()
    create() {
      return 'created';
    }
  }

  it.each([
    ['a class', OrdersService],
    ['a factory', { provide: 'ORDERS', useFactory: () => new OrdersService() }],
    ['a value', { provide: 'ORDERS', useValue: new OrdersService() }],
    ['another class', { provide: 'ORDERS', useClass: OrdersService }],
  ])('on a provider, registered as %s', async (_how, provider) => {
    expect(await mistakeOf(() => ({ ...withModule({}), providers: [provider] }))).toMatch(
      /^@Idempotent\(\) on OrdersService\.create: no interceptor reaches this method/,
    );
  });

  it.each([
    [
      'on a property',
      () => {
        class Orders {
          create = () => 'created';
        }
        // As TypeScript calls it for a property.
        Idempotent()(Orders.prototype, 'create', undefined as never);
        return Orders;
      },
      /on Orders\.create: it is not a method, so no route leads to it\. Decorate the method of the route/,
    ],
    [
      'on an accessor',
      () => {
        class Orders {
          @Idempotent()
          get create() {
            return 'created';
          }
        }
        return Orders;
      },
      /on Orders\.create: it is not a method/,
    ],
    [
      'on a static method',
      () => {
        class Orders {
          @Idempotent()
          static create() {
            return 'created';
          }
        }
        return Orders;
      },
      /on Orders\.create: it is a static member/,
    ],
    [
      'twice on one method',
      () => {
        class Orders {
          @Idempotent('1h')
          @Post()
          @Idempotent({ required: false })
          create() {
            return 'created';
          }
        }
        return Orders;
      },
      /on Orders\.create stands there twice, and one of them would do nothing\. Merge their options/,
    ],
  ])('%s, which fails when the class is read', (_where, read, sentence) => {
    expect(read).toThrow(sentence);
  });
});

describe('an app does not boot with two operations of one name:', () => {
  @Controller()
  class Two {
    @Post('orders')
    @Idempotent({ operation: 'create' })
    one() {}
    @Post('invoices')
    @Idempotent({ operation: 'create' })
    two() {}
  }
  @Controller('v2')
  class Renamed {
    @Post('orders')
    @Idempotent({ operation: 'POST /api/orders' })
    create() {}
  }
  @Controller('orders')
  class Original {
    @Post(['', 'new'])
    @Idempotent()
    create() {}
  }
  @Controller('all')
  @Idempotent({ operation: 'everything' })
  class Everything {
    @Post('a')
    a() {}
    @Post('b')
    b() {}
  }
  class Base {
    @Post()
    @Idempotent({ operation: 'inherited' })
    create() {}
  }
  @Controller('a')
  class A extends Base {}
  @Controller('b')
  class B extends Base {}

  it.each([
    [
      'two methods of one class',
      [Two],
      /Two\.one and Two\.two have the same `operation` 'create'.*Give each a name of its own/,
    ],
    [
      'a class with a name for all its routes',
      [Everything],
      /Everything\.a and Everything\.b have the same `operation` 'everything'/,
    ],
    [
      'two classes that inherit one route',
      [A, B],
      /A\.create and B\.create have the same `operation` 'inherited'/,
    ],
  ])('%s', async (_what, controllers, sentence) => {
    expect(await mistakeOf(() => withControllers(...controllers))).toMatch(sentence);
  });

  it('a given one that is another route’s own', async () => {
    const testing = await Test.createTestingModule(withControllers(Renamed, Original)).compile();
    const app = testing.createNestApplication({ logger: false }).setGlobalPrefix('api');

    await expect(app.init()).rejects.toThrow(
      /Renamed\.create and Original\.create have the same `operation` 'POST \/api\/orders'/,
    );
    await app.close();
  });
});
