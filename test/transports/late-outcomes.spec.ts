import { describe, expect, it } from '@jest/globals';
import { Controller, Post, UseInterceptors, type CallHandler, type NestInterceptor } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { Idempotent, IdempotencyService, memoryStorage, messageKey } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { map, race, timer } from 'rxjs';
import { start } from '../http/support/apps.js';
import { send } from '../http/support/requests.js';
import { eventually } from '../http/support/eventually.js';
import { startTcp } from './support/tcp-app.js';

const terms = { operation: 'create order', fingerprint: false } as const;

/** A route that is answered before its handler is through, and a consumer that shares its records. */
async function startShared(handle: () => unknown) {
  let runs = 0;
  const early: NestInterceptor = {
    intercept: (_context, next: CallHandler) =>
      race(next.handle(), timer(80).pipe(map(() => ({ early: true })))),
  };
  @Controller('orders')
  class Orders {
    @Post()
    @UseInterceptors(early)
    @Idempotent(terms)
    create() {
      runs += 1;
      return handle();
    }
  }
  @Controller()
  class Messages {
    @MessagePattern('create')
    @Idempotent({ ...terms, key: messageKey('id') })
    create(@Payload() _data: unknown) {
      runs += 1;
      return handle();
    }
  }
  const storage = memoryStorage();
  const web = await start('express', { controllers: [Orders], options: { storage } });
  const tcp = await startTcp({ controllers: [Messages], options: { storage } });
  const service = web.app.get(IdempotencyService);
  return { web, tcp, service, runs: () => runs };
}

describe('what a route came to after something else had answered', () => {
  it('is the reply of a consumer that shares its records, whose handler does not run', async () => {
    const gate = new Gate();
    const { web, tcp, service, runs } = await startShared(async () => (await gate.pass(), { id: 'o1' }));

    const first = await send(web, '/orders', { key: 'k1', body: {} });
    gate.open();
    await eventually(() => expect(service.counters().get('released')).toBe(1));

    expect(first.json).toEqual({ early: true });
    expect(await tcp.send('create', { id: 'k1' })).toEqual({ id: 'o1' });
    expect(await tcp.send('create', { id: 'k1' })).toEqual({ id: 'o1' });
    expect(runs()).toBe(1);
  });
});
