import {
  Body,
  Controller,
  Injectable,
  Post,
  ServiceUnavailableException,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { catchError, of, retry, switchMap, tap, type Observable } from 'rxjs';
import { Idempotent } from 'nestjs-idempotent';
import { platforms, start } from './support/apps.js';
import { ordersController } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';

let runs = 0;

beforeEach(() => {
  runs = 0;
});

/** A handler behind whatever the test puts before it. */
function behind(...decorators: MethodDecorator[]) {
  @Controller('orders')
  class Orders {
    @Post()
    @Idempotent()
    create(@Body() body: { quantity: number }) {
      return { run: (runs += 1), quantity: body.quantity };
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Orders.prototype, 'create') as PropertyDescriptor;
  for (const decorate of decorators) decorate(Orders.prototype, 'create', descriptor);
  return Orders;
}

describe.each(platforms)('an interceptor that subscribes more than once, on %s', (platform) => {
  it('an outer interceptor that tries again gets the handler run again after a throw, within the same attempt', async () => {
    @Injectable()
    class Outer implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler) {
        return next.handle().pipe(retry(2));
      }
    }
    const attempts: number[] = [];
    const handler = ordersController((_body, op) => {
      attempts.push(op.attempt);
      if (attempts.length < 3) throw new ServiceUnavailableException();
      return { attempts: attempts.length };
    });
    const app = await start(platform, {
      controllers: [handler],
      providers: [{ provide: APP_INTERCEPTOR, useClass: Outer }],
    });

    const first = await send(app, '/orders', { key: 'k', body: {} });

    expect(first.json).toEqual({ attempts: 3 });
    expect(attempts).toEqual([1, 1, 1]);
    expectReplayOf(first, await send(app, '/orders', { key: 'k', body: {} }));
  });

  it('an outer interceptor that tries again never gets past a refusal', async () => {
    let asked = 0;
    @Injectable()
    class Outer implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler) {
        return of(null).pipe(
          tap(() => (asked += 1)),
          switchMap(() => next.handle()),
          retry(2),
        );
      }
    }
    const app = await start(platform, {
      controllers: [ordersController(() => ({ run: (runs += 1) }))],
      providers: [{ provide: APP_INTERCEPTOR, useClass: Outer }],
    });

    expectProblem(await send(app, '/orders', { body: {} }), 400, 'key-missing');
    await send(app, '/orders', { key: 'k', body: { a: 1 } });
    expectProblem(await send(app, '/orders', { key: 'k', body: { a: 2 } }), 422, 'key-reused');

    expect(asked).toBe(3 + 1 + 3);
    expect(runs).toBe(1);
  });

  it('an interceptor that subscribes twice at once gets one run', async () => {
    const twice = (how: 'inside' | 'outside') => {
      class Twice implements NestInterceptor {
        intercept(_context: ExecutionContext, next: CallHandler) {
          const second = next.handle().pipe(catchError(() => of('refused')));
          return new Promise<Observable<unknown>>((resolve) => {
            second.subscribe();
            resolve(next.handle());
          }).then((first) => (how === 'outside' ? first.pipe(catchError(() => second)) : first));
        }
      }
      return Twice;
    };
    const inner = await start(platform, { controllers: [behind(UseInterceptors(twice('inside')))] });
    await send(inner, '/orders', { key: 'k', body: { quantity: 1 } });
    expect(runs).toBe(1);
    const outer = await start(platform, {
      controllers: [behind()],
      providers: [{ provide: APP_INTERCEPTOR, useClass: twice('outside') }],
    });
    await send(outer, '/orders', { key: 'k', body: { quantity: 1 } });
    expect(runs).toBe(2);
  });

  it('an interceptor that tries again after the handler returned gets what it returned', async () => {
    let failed = false;
    class Inner implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler) {
        return next.handle().pipe(
          tap(() => {
            if (failed) return;
            failed = true;
            throw new Error('serializing failed once');
          }),
          retry(1),
        );
      }
    }
    const app = await start(platform, { controllers: [behind(UseInterceptors(Inner))] });

    expect((await send(app, '/orders', { key: 'k', body: { quantity: 1 } })).json).toMatchObject({ run: 1 });
    expect(runs).toBe(1);
  });
});
