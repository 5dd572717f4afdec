import {
  Body,
  Controller,
  ForbiddenException,
  Post,
  RequestTimeoutException,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { IsInt } from 'class-validator';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { of, race, Subject, switchMap, throwError, type Observable } from 'rxjs';
import { Idempotent, IdempotencyService, memoryStorage } from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { platforms, start, type RunningApp } from './support/apps.js';
import { eventually } from './support/eventually.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectReplayOf, send } from './support/requests.js';

let runs = 0;
let allowed = true;

beforeEach(() => {
  runs = 0;
  allowed = true;
});

class CreateOrder {
  @IsInt()
  quantity!: number;
}

/** A handler behind whatever the test puts before it. */
function behind(...decorators: MethodDecorator[]) {
  @Controller('orders')
  class Orders {
    @Post()
    @Idempotent()
    create(@Body() body: CreateOrder) {
      return { run: (runs += 1), quantity: body.quantity };
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Orders.prototype, 'create') as PropertyDescriptor;
  for (const decorate of decorators) decorate(Orders.prototype, 'create', descriptor);
  return Orders;
}

async function recordsOf(app: RunningApp): Promise<unknown[]> {
  const records = [];
  for await (const record of app.app.get(IdempotencyService).find()) records.push(record);
  return records;
}

describe.each(platforms)('before the handler begins, on %s', (platform) => {
  it('a validation error keeps nothing, and the same key may carry the corrected request', async () => {
    const app = await start(platform, { controllers: [behind(UsePipes(new ValidationPipe()))] });

    const refused = await send(app, '/orders', { key: 'k', body: { quantity: 'many' } });

    expect({ status: refused.status, message: refused.json.message }).toEqual({
      status: 400,
      message: ['quantity must be an integer number'],
    });
    expect(refused.headers.get('idempotency-expires')).toBeNull();
    expect(await recordsOf(app)).toEqual([]);
    const first = await send(app, '/orders', { key: 'k', body: { quantity: 2 } });
    expect(first.json).toEqual({ run: 1, quantity: 2 });
    expectReplayOf(first, await send(app, '/orders', { key: 'k', body: { quantity: 2 } }));
  });

  it('a guard’s refusal leaves nothing, and is not replayed', async () => {
    class Door implements CanActivate {
      canActivate(): boolean {
        return allowed;
      }
    }
    const app = await start(platform, { controllers: [behind(UseGuards(Door))] });
    allowed = false;

    expect((await send(app, '/orders', { key: 'k', body: { quantity: 1 } })).status).toBe(403);

    expect(await recordsOf(app)).toEqual([]);
    allowed = true;
    expect((await send(app, '/orders', { key: 'k', body: { quantity: 1 } })).status).toBe(201);
    allowed = false;
    expect((await send(app, '/orders', { key: 'k', body: { quantity: 1 } })).status).toBe(403);
  });

  it('an inner interceptor’s refusal keeps nothing; its own answer is kept', async () => {
    let inner: () => Observable<unknown> = () => throwError(() => new ForbiddenException());
    class Inner implements NestInterceptor {
      intercept() {
        return inner();
      }
    }
    const app = await start(platform, { controllers: [behind(UseInterceptors(Inner))] });

    const refused = await send(app, '/orders', { key: 'k', body: { quantity: 1 } });
    expect(refused.status).toBe(403);
    expect(await recordsOf(app)).toEqual([]);
    inner = () => of({ from: 'cache' });
    const answered = await send(app, '/orders', { key: 'k', body: { quantity: 1 } });

    expect(answered.json).toEqual({ from: 'cache' });
    expectReplayOf(answered, await send(app, '/orders', { key: 'k', body: { quantity: 1 } }));
    expect(runs).toBe(0);
  });

  /** Answers in the place of what is inside it, as soon as the test says so. */
  const timeoutInterceptor = (now: Observable<unknown>) => {
    class Timeout implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler) {
        const over = now.pipe(switchMap(() => throwError(() => new RequestTimeoutException())));
        return race(next.handle(), over);
      }
    }
    return Timeout;
  };

  it('a timeout inside of us answers while a pipe works: the handler does not begin later, and a retry runs', async () => {
    const gate = new Gate();
    const over = new Subject<void>();
    class SlowPipe implements PipeTransform {
      async transform(value: unknown) {
        await gate.pass();
        return value;
      }
    }
    const orders = behind(UsePipes(SlowPipe), UseInterceptors(timeoutInterceptor(over)));
    const app = await start(platform, { controllers: [orders] });
    const first = send(app, '/orders', { key: 'k', body: { quantity: 1 } });
    await gate.reached();

    over.next();

    expect((await first).status).toBe(408);
    gate.open();
    expect((await send(app, '/orders', { key: 'k', body: { quantity: 1 } })).json).toMatchObject({ run: 1 });
    expect(runs).toBe(1);
  });

  it.each(['unsubscribes', 'does not unsubscribe'])(
    'a timeout outside of us that %s answers while the storage is asked: the handler does not begin later, and the key is free',
    async (how) => {
      const over = new Subject<void>();
      const Unsubscribing = timeoutInterceptor(over);
      class Racing implements NestInterceptor {
        async intercept(_context: ExecutionContext, next: CallHandler) {
          const inner = new Promise((resolve) => next.handle().subscribe(resolve));
          const outer = new Promise((_resolve, reject) =>
            over.subscribe(() => reject(new RequestTimeoutException())),
          );
          return of(await Promise.race([inner, outer]));
        }
      }
      const handler = countingHandler();
      const storage = faultyStorage(memoryStorage());
      const app = await start(platform, {
        controllers: [ordersController(handler)],
        providers: [{ provide: APP_INTERCEPTOR, useClass: how === 'unsubscribes' ? Unsubscribing : Racing }],
        options: { storage },
      });
      const gate = storage.holdAnswer('claim');
      const first = send(app, '/orders', { key: 'k', body: {} });
      await gate.reached();

      over.next();
      expect((await first).status).toBe(408);
      gate.open();

      await eventually(async () => expect(await recordsOf(app)).toEqual([]));
      expect(handler.runs).toBe(0);
      expect((await send(app, '/orders', { key: 'k', body: {} })).status).toBe(201);
    },
  );
});
