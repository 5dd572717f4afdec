import { describe, expect, it } from '@jest/globals';
import {
  Catch,
  ConflictException,
  Controller,
  UseFilters,
  UseInterceptors,
  type ExceptionFilter,
} from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { Idempotent, IdempotencyService, messageKey } from 'nestjs-idempotent';
import { from, map, throwError, type Observable } from 'rxjs';
import { startTcp, type TcpApp } from './support/tcp-app.js';

const message = { id: 'm1' };
const statesOf = ({ app }: TcpApp) => app.get(IdempotencyService).counters();

describe('a replay over TCP', () => {
  it('of a kept error meets the filters that catch its class', async () => {
    let runs = 0;
    @Catch(ConflictException)
    class Conflicts implements ExceptionFilter {
      catch(error: ConflictException): Observable<unknown> {
        return throwError(() => ({ conflict: error.message, status: error.getStatus() }));
      }
    }
    @Controller()
    class Consumer {
      @MessagePattern('x')
      @UseFilters(new Conflicts())
      @Idempotent({ key: messageKey('id') })
      handle(@Payload() _data: unknown) {
        runs += 1;
        throw new ConflictException('sold out');
      }
    }
    const app = await startTcp({ controllers: [Consumer] });

    const first = await app.send('x', message);

    expect(first).toEqual({ error: { conflict: 'sold out', status: 409 } });
    expect(await app.send('x', message)).toEqual(first);
    expect(runs).toBe(1);
  });

  it('of several emissions has each as it was when it was emitted', async () => {
    const state = { step: 0 };
    @Controller()
    class Consumer {
      @MessagePattern('x')
      @UseInterceptors({
        intercept: (_context, next) =>
          next
            .handle()
            .pipe(map((value: { seen?: number }) => Object.assign(value, { seen: (value.seen ?? 0) + 1 }))),
      })
      @Idempotent({ key: messageKey('id') })
      handle(@Payload() _data: unknown) {
        return from([1, 2, 3]).pipe(map((step) => Object.assign(state, { step })));
      }
    }
    const app = await startTcp({ controllers: [Consumer], options: { interceptor: 'decorated' } });

    const first = await app.sendForAll('x', message);
    const again = await app.sendForAll('x', message);

    expect(first).toHaveLength(3);
    expect(again).toEqual([1, 2, 3].map((step) => ({ step, seen: 1 })));
    expect(statesOf(app).get('replayed')).toBe(1);
  });
});
