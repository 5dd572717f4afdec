import { describe, expect, it } from '@jest/globals';
import { Controller, Injectable, Post, Scope } from '@nestjs/common';
import { Int, Mutation, Query, Resolver } from '@nestjs/graphql';
import { EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Idempotent, IdempotencyService, messageKey, SkipIdempotency } from 'nestjs-idempotent';
import { start } from '../http/support/apps.js';
import { eventually } from '../http/support/eventually.js';
import { send } from '../http/support/requests.js';
import { ask, drivers, startGraphql } from './support/graphql-app.js';
import { startTcp } from './support/tcp-app.js';
import { adapters, startWs } from './support/ws-app.js';

const key = messageKey('id');
const message = { id: 'm1' };

describe('@Idempotent() on a class', () => {
  it.each(drivers)(
    'covers its mutations, inherited ones too, and its queries only when they say so, $name',
    async (driver) => {
      const runs: string[] = [];
      class Base {
        @Mutation(() => Int)
        inherited() {
          return runs.push('inherited');
        }
      }
      @Resolver()
      @Idempotent()
      class Runs extends Base {
        @Mutation(() => Int)
        own() {
          return runs.push('own');
        }
        @Mutation(() => Int)
        @SkipIdempotency()
        skipped() {
          return runs.push('skipped');
        }
        @Query(() => Int)
        asked() {
          return runs.push('asked');
        }
        @Query(() => Int)
        @Idempotent()
        decorated() {
          return runs.push('decorated');
        }
      }
      const app = await startGraphql(driver, { providers: [Runs] });

      for (let time = 0; time < 2; time++) {
        await ask(app, 'mutation { inherited own skipped }', { key: 'k' });
        await ask(app, '{ asked decorated }', { key: 'k' });
      }

      expect(runs.sort()).toEqual(['asked', 'asked', 'decorated', 'inherited', 'own', 'skipped', 'skipped']);
    },
  );

  it('covers message and event handlers', async () => {
    const runs: string[] = [];
    @Controller()
    @Idempotent({ key })
    class Consumer {
      @MessagePattern('message')
      message(@Payload() _data: unknown) {
        return runs.push('message');
      }
      @EventPattern<string>('event')
      event(@Payload() _data: unknown) {
        runs.push('event');
      }
    }
    const app = await startTcp({ controllers: [Consumer] });

    for (let time = 0; time < 2; time++) {
      expect(await app.send('message', message)).toBe(1);
      await app.emit('event', message);
    }

    await eventually(() => expect(app.app.get(IdempotencyService).counters().get('replayed')).toBe(2));
    expect(runs.sort()).toEqual(['event', 'message']);
  });

  it.each(adapters)('covers the messages of a gateway ($name)', async (kind) => {
    let runs = 0;
    @WebSocketGateway()
    @Idempotent({ key })
    class Gateway {
      @SubscribeMessage('x')
      handle(@MessageBody() _data: unknown) {
        return ++runs;
      }
    }
    const app = await startWs(kind, { providers: [Gateway] });
    const peer = await kind.connect(app);

    expect([await peer.ask('x', message), await peer.ask('x', message)]).toEqual([1, 1]);
  });
});

describe('a method that is a route and a message handler', () => {
  it('has an operation for each, with the keys of each', async () => {
    let runs = 0;
    @Controller('orders')
    class Both {
      @Post()
      @MessagePattern('orders')
      @Idempotent({ key: [messageKey('id'), () => undefined], required: false })
      handle(@Payload() _data: unknown) {
        return ++runs;
      }
    }
    const app = await startTcp({ controllers: [Both], as: 'hybrid' });
    const web = await start('express', { controllers: [Both] });

    expect([await app.send('orders', message), await app.send('orders', message)]).toEqual([1, 1]);
    expect((await send(web, '/orders', { body: message })).status).toBe(201);
    const counters = web.app.get(IdempotencyService).counters();
    expect([runs, counters.get('unprotected'), counters.get('claimed')]).toEqual([2, 1, undefined]);
  });
});

describe('a handler whose class is made anew for each request', () => {
  it.each(drivers)('is protected as any other, as a resolver ($name)', async (driver) => {
    let runs = 0;
    @Resolver()
    @Injectable({ scope: Scope.REQUEST })
    class Scoped {
      @Query(() => Int)
      count() {
        return runs;
      }
      @Mutation(() => Int)
      @Idempotent()
      run() {
        return ++runs;
      }
    }
    const app = await startGraphql(driver, { providers: [Scoped] });

    const answers = [
      await ask(app, 'mutation { a: run b: run }', { key: 'k' }),
      await ask(app, 'mutation { a: run b: run }', { key: 'k' }),
    ];

    expect(answers.map(({ data }) => data)).toEqual([
      { a: 1, b: 2 },
      { a: 1, b: 2 },
    ]);
  });

  it('is protected as any other, as a consumer', async () => {
    let runs = 0;
    @Controller({ scope: Scope.REQUEST })
    class Scoped {
      @MessagePattern('x')
      @Idempotent({ key })
      handle(@Payload() _data: unknown) {
        return ++runs;
      }
    }
    const app = await startTcp({ controllers: [Scoped] });

    expect([await app.send('x', message), await app.send('x', message)]).toEqual([1, 1]);
  });
});
