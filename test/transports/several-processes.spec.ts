import { describe, expect, it } from '@jest/globals';
import { ClassSerializerInterceptor, Controller, Post, Body } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Exclude } from 'class-transformer';
import { Idempotent, memoryStorage, messageKey, type IdempotencyStorage } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { Gate } from 'nestjs-idempotent/testing';
import { start } from '../http/support/apps.js';
import { send } from '../http/support/requests.js';
import { useRedis } from '../support/redis-fixture.js';
import { ask, drivers, startGraphql } from './support/graphql-app.js';
import { consumer } from './support/one-consumer.js';
import { effects, ShopResolver } from './support/shop.resolver.js';
import { startTcp } from './support/tcp-app.js';
import { adapters, startWs } from './support/ws-app.js';

describe('two processes over one storage', () => {
  const redis = useRedis();
  const shared = memoryStorage();
  const storages: readonly (readonly [string, () => IdempotencyStorage])[] = [
    ['memory', () => shared],
    ['Redis', () => redisStorage({ url: redis.server.url })],
  ];

  describe.each(storages)('in %s', (_name, storage) => {
    const options = () => ({ storage: storage(), namespace: 'shop' });

    it.each(drivers)(
      'replay each other’s mutations with their unions, getters and dates, $name',
      async (driver) => {
        effects.splice(0);
        const one = await startGraphql(driver, { providers: [ShopResolver], options: options() });
        const two = await startGraphql(driver, { providers: [ShopResolver], options: options() });
        const document = `mutation {
        a: settle(sku: "A-1") { __typename ... on Order { id label gift placedAt parcels { sku cost } } }
        b: settle(sku: "refund") { __typename ... on Refund { id reason } }
      }`;
        const key = driver.name;

        const first = await ask(one, document, { key });
        const again = await ask(two, document.replace(' a:', ' x:').replace(' b:', ' a:'), { key });

        expect(first.errors).toBeUndefined();
        expect(again.data).toEqual({ x: first.data?.['a'], a: first.data?.['b'] });
        expect(effects).toEqual(['settle A-1', 'settle refund']);
      },
    );

    it('run a message over TCP once, and wait for each other', async () => {
      const gate = new Gate();
      let runs = 0;
      const make = () =>
        startTcp({
          controllers: [consumer(async () => (await gate.pass(), { run: ++runs }))],
          options: options(),
        });
      const [one, two] = [await make(), await make()];
      const message = { id: 'tcp' };

      const first = one.send('orders.create', message);
      await gate.reached();
      const second = two.send('orders.create', message);
      gate.open();

      expect(await Promise.all([first, second])).toEqual([{ run: 1 }, { run: 1 }]);
    });

    it.each(adapters)('run a message on a WebSocket once ($name)', async (kind) => {
      let runs = 0;
      @WebSocketGateway()
      class Gateway {
        @SubscribeMessage('x')
        @Idempotent({ key: messageKey('id') })
        handle(@MessageBody() _data: unknown) {
          return { run: ++runs, at: new Date(0) };
        }
      }
      const make = () => startWs(kind, { providers: [Gateway], options: options() });
      const [one, two] = [await make(), await make()];
      const message = { id: kind.name };

      const first = await (await kind.connect(one)).ask('x', message);

      expect(first).toEqual({ run: 1, at: '1970-01-01T00:00:00.000Z' });
      expect(await (await kind.connect(two)).ask('x', message)).toEqual(first);
    });
  });

  it('share the records of a route and a consumer that are given one name', async () => {
    let runs = 0;
    const terms = { operation: 'create order', fingerprint: false } as const;
    @Controller('orders')
    class Orders {
      @Post()
      @Idempotent(terms)
      create(@Body() { sku }: { sku: string }) {
        return { sku, run: ++runs };
      }
    }
    @Controller()
    class Messages {
      @MessagePattern('create')
      @Idempotent({ ...terms, key: messageKey('id') })
      create(@Payload() { sku }: { sku: string }) {
        return { sku, run: ++runs };
      }
    }
    const storage = memoryStorage();
    const web = await start('express', { controllers: [Orders], options: { storage } });
    const tcp = await startTcp({ controllers: [Messages], options: { storage } });

    const first = await send(web, '/orders', { key: 'k1', body: { sku: 'A' } });
    const byMessage = await tcp.send('create', { id: 'k1', sku: 'A' });
    const second = await tcp.send('create', { id: 'k2', sku: 'B' });
    const byRoute = await send(web, '/orders', { key: 'k2', body: { sku: 'B' } });

    expect([byMessage, second]).toEqual([
      { sku: 'A', run: 1 },
      { sku: 'B', run: 2 },
    ]);
    expect(first.json).toEqual(byMessage);
    expect([byRoute.status, byRoute.json]).toEqual([201, second]);
  });

  describe('behind a serializer that leaves members out', () => {
    class User {
      id = 1;
      @Exclude()
      password = 'secret';
    }
    class Person extends User {}
    @Controller()
    class Users {
      @MessagePattern('declared')
      @Idempotent({ key: messageKey('id') })
      declared(@Payload() _data: unknown): User {
        return new User();
      }
      @MessagePattern('promised')
      @Idempotent({ key: messageKey('id') })
      async promised(@Payload() _data: unknown): Promise<Person> {
        return new Person();
      }
    }

    it('replay a value of the class that the handler declares without them', async () => {
      const providers = [{ provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor }];
      const app = await startTcp({ controllers: [Users], providers });

      expect(await app.send('declared', { id: 'm' })).toEqual({ id: 1 });
      expect(await app.send('declared', { id: 'm' })).toEqual({ id: 1 });
    });

    it('refuse to replay one whose class would be lost, instead of sending what was left out', async () => {
      const providers = [{ provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor }];
      const app = await startTcp({ controllers: [Users], providers });

      expect(await app.send('promised', { id: 'm' })).toEqual({ id: 1 });
      expect(await app.send('promised', { id: 'm' })).toMatchObject({
        error: { code: 'result-not-replayable' },
      });
    });
  });
});
