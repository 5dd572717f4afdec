import { describe, expect, it } from '@jest/globals';
import { Controller, UseInterceptors, type CallHandler, type NestInterceptor } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { Idempotent, IdempotencyService, messageKey } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { catchError, concatMap, map, of, race, retry, timer, type Observable } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { startTcp, type TcpApp } from './support/tcp-app.js';

/** A message handler with an interceptor of the user's inside of ours (`inner`) or outside (`outer`). */
async function startWith(
  where: 'inner' | 'outer',
  intercept: (next: Observable<unknown>) => Observable<unknown>,
  handle: () => unknown,
): Promise<TcpApp> {
  const own: NestInterceptor = { intercept: (_context, next: CallHandler) => intercept(next.handle()) };
  const [above, below] = [where === 'outer' ? [own] : [], where === 'inner' ? [own] : []];

  // Nest calls the interceptors of a class before those of its methods; ours is bound last by a decorator above.
  @Controller()
  @UseInterceptors(...above)
  class Consumer {
    @MessagePattern('x')
    @UseInterceptors(...below)
    @Idempotent({ key: messageKey('id') })
    handle(@Payload() _data: unknown) {
      return handle();
    }
  }
  return startTcp({ controllers: [Consumer], options: { interceptor: 'decorated' } });
}

const message = { id: 'm1' };
const service = ({ app }: TcpApp) => app.get(IdempotencyService);
const attemptOf = async (app: TcpApp) =>
  (await service(app).inspect(service(app).recordId({ operation: 'tcp x', key: 'm1' })))?.attempt;

describe('an interceptor', () => {
  it('inside of ours that tries again does so within one attempt', async () => {
    let runs = 0;
    const flaky = () => {
      runs += 1;
      if (runs < 3) throw new Error('flaky');
      return runs;
    };
    const app = await startWith('inner', (next) => next.pipe(retry(5)), flaky);

    expect(await app.send('x', message)).toBe(3);
    expect(await attemptOf(app)).toBe(1);
    expect([await app.send('x', message), runs]).toEqual([3, 3]);
  });

  it('outside of ours that tries again makes a new attempt, after the first was given up', async () => {
    let runs = 0;
    const flaky = () => {
      runs += 1;
      if (runs < 3) throw new Error('flaky');
      return runs;
    };
    const app = await startWith('outer', (next) => next.pipe(retry(5)), flaky);

    expect(await app.send('x', message)).toBe(3);
    expect(await attemptOf(app)).toBe(3);
  });

  it('outside of ours hears of every reply and refusal, after the record knows of it', async () => {
    const heard: unknown[] = [];
    const state = async () => {
      const id = service(app).recordId({ operation: 'tcp x', key: 'm1' });
      return (await service(app).inspect(id))?.state;
    };
    let runs = 0;
    const app = await startWith(
      'outer',
      (next) =>
        next.pipe(
          catchError(async (error: Error & { getError?(): { code?: string } }) => {
            heard.push([error.getError?.().code ?? 'threw', await state()]);
            throw error;
          }),
          concatMap(async (value) => (heard.push([value, await state()]), value)),
        ),
      () => {
        runs += 1;
        if (runs === 1) throw new Error('x');
        return 'done';
      },
    );

    for (const data of [message, message, message, { ...message, sku: 'B' }]) await app.send('x', data);

    expect(heard).toEqual([
      ['threw', 'in_progress'],
      ['done', 'completed'],
      ['done', 'completed'],
      ['key-reused', 'completed'],
    ]);
    expect(service(app).counters().get('released')).toBe(1);
  });

  it('inside of ours that answers for a handler that threw leaves the key to a retry', async () => {
    let runs = 0;
    const app = await startWith(
      'inner',
      (next) => next.pipe(catchError(() => of('fallback'))),
      () => {
        runs += 1;
        throw new Error('x');
      },
    );

    expect([await app.send('x', message), await app.send('x', message)]).toEqual(['fallback', 'fallback']);
    expect([runs, service(app).counters().get('completed')]).toEqual([2, undefined]);
  });

  it('inside of ours that answers while the handler runs leaves the record to the handler', async () => {
    const gate = new Gate();
    let runs = 0;
    const app = await startWith(
      'inner',
      (next) => race(next, timer(80).pipe(map(() => 'too late'))),
      async () => {
        runs += 1;
        await gate.pass();
        return 'done';
      },
    );

    expect(await app.send('x', message)).toBe('too late');
    gate.open();
    await eventually(() => expect(service(app).counters().get('completed')).toBe(1));
    expect([await app.send('x', message), runs]).toEqual(['done', 1]);
  });

  it.each(['inner', 'outer'] as const)(
    'that answers (%s) for a handler that throws later leaves the key to a retry',
    async (where) => {
      const gate = new Gate();
      let runs = 0;
      const app = await startWith(
        where,
        (next) => race(next, timer(80).pipe(map(() => 'too late'))),
        async () => {
          runs += 1;
          if (runs === 1) await gate.pass();
          return 'done';
        },
      );

      expect(await app.send('x', message)).toBe('too late');
      gate.fail();
      await eventually(() => expect(service(app).counters().get('released')).toBe(1));
      expect([await app.send('x', message), runs]).toEqual(['done', 2]);
    },
  );

  it('inside of ours that answers without the handler leaves nothing', async () => {
    let runs = 0;
    const app = await startWith(
      'inner',
      () => of('from a cache'),
      () => ++runs,
    );

    expect(await app.send('x', message)).toBe('from a cache');
    expect([runs, await attemptOf(app)]).toEqual([0, undefined]);
  });

  it('inside of ours works on a replay as on a first reply', async () => {
    const app = await startWith(
      'inner',
      (next) => next.pipe(map((value) => ({ wrapped: value }))),
      () => 'value',
    );

    const first = await app.send('x', message);

    expect(first).toEqual({ wrapped: 'value' });
    expect(await app.send('x', message)).toEqual(first);
  });
});
