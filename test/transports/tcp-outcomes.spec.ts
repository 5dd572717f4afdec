import { describe, expect, it } from '@jest/globals';
import {
  ConflictException,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { RpcException } from '@nestjs/microservices';
import { memoryStorage } from 'nestjs-idempotent';
import { FakeClock, faultyStorage, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { concat, EMPTY, from, map, of, race, throwError, timer, type Observable } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { CREATE, message, startConsumer as start } from './support/tcp-consumer.js';

describe('a message over TCP', () => {
  it.each([
    [
      'an RpcException with an object',
      () => new RpcException({ code: 'SOLD_OUT', left: 0 }),
      { code: 'SOLD_OUT', left: 0 },
      1,
    ],
    [
      'an RpcException with a text',
      () => new RpcException('sold out'),
      { status: 'error', message: 'sold out' },
      1,
    ],
    ['an RpcException that says later', () => new RpcException({ statusCode: 503 }), { statusCode: 503 }, 2],
    ['an RpcException with a final status', () => new RpcException({ status: 404 }), { status: 404 }, 1],
    [
      'an HttpException of the client’s fault',
      () => new ConflictException(),
      { status: 'error', message: 'Internal server error' },
      1,
    ],
    ['any other error', () => new Error('x'), { status: 'error', message: 'Internal server error' }, 2],
    [
      'an error of another service’s client, whatever its status',
      () => Object.assign(new Error('x'), { status: 404 }),
      { status: 'error', message: 'Internal server error' },
      2,
    ],
  ])('that threw %s is refused the same way again', async (_what, error, payload, expected) => {
    let runs = 0;
    const app = await start(() => {
      runs += 1;
      throw error();
    });

    expect(await app.send(CREATE, message)).toEqual({ error: payload });
    expect(await app.send(CREATE, message)).toEqual({ error: payload });
    expect(runs).toBe(expected);
  });

  it('is answered after the record knows: what it returned, and that it threw', async () => {
    const storage = faultyStorage(memoryStorage());
    let fails = true;
    const app = await start(
      () => {
        if (fails) throw new RpcException({ statusCode: 503 });
        return 'done';
      },
      {},
      { options: { storage } },
    );
    const heldBack = async (call: 'release' | 'complete') => {
      const gate = storage.holdCall(call);
      let isOut = false;
      const reply = app.send(CREATE, message).finally(() => (isOut = true));
      await gate.reached();
      // A reply that did not wait would be here by then.
      await app.send(CREATE, { id: 'another' });
      const early = isOut;
      gate.open();
      return [early, await reply];
    };

    expect(await heldBack('release')).toEqual([false, { error: { statusCode: 503 } }]);
    fails = false;
    expect(await heldBack('complete')).toEqual([false, 'done']);
  });

  it('that threw in an Observable is released as one that threw', async () => {
    let runs = 0;
    const app = await start(() => (runs++ === 0 ? throwError(() => new Error('x')) : of('done')));

    expect(await app.send(CREATE, message)).toMatchObject({ error: { status: 'error' } });
    expect(await app.send(CREATE, message)).toBe('done');
  });

  it.each([
    ['one emission', () => of({ a: 1 }), [{ a: 1 }]],
    ['none', () => EMPTY, []],
    ['several', () => from([1, { b: [2] }, null]), [1, { b: [2] }, null]],
    ['a promise of an Observable', async () => of('later'), ['later']],
  ])(
    'answered by an Observable with %s is answered with the same emissions again',
    async (_what, result, replies) => {
      let runs = 0;
      const app = await start(() => (runs++, result()));

      expect(await app.sendForAll(CREATE, message)).toEqual(replies);
      expect(await app.sendForAll(CREATE, message)).toEqual(replies);
      expect(runs).toBe(1);
    },
  );

  it('answered bit by bit reaches its client bit by bit', async () => {
    const gate = new Gate();
    const app = await start(() => concat(of(1, 2), from(gate.pass().then(() => 3))));

    const got: unknown[] = [];
    const all = new Promise<void>((resolve, reject) => {
      app.client
        .send(CREATE, message)
        .subscribe({ next: (value) => got.push(value), complete: resolve, error: reject });
    });
    await eventually(() => expect(got).toEqual([1, 2]));
    gate.open();
    await all;

    expect(await app.sendForAll(CREATE, message)).toEqual([1, 2, 3]);
  });

  it('whose emissions are more than `maxResponseBytes` is not replayed, and never runs again', async () => {
    let runs = 0;
    const app = await start(() => (runs++, from(['x'.repeat(40), 'y'.repeat(40), 'z'])), {
      maxResponseBytes: 60,
    });

    expect(await app.sendForAll(CREATE, message)).toHaveLength(3);
    expect(await app.send(CREATE, message)).toMatchObject({ error: { code: 'result-not-replayable' } });
    expect(runs).toBe(1);
  });

  it('is recorded when it comes after an outer interceptor has answered', async () => {
    const gate = new Gate();
    let runs = 0;
    @Injectable()
    class Impatient implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        return race(next.handle(), timer(100).pipe(map(() => 'too late')));
      }
    }
    const app = await start(
      async () => {
        runs += 1;
        await gate.pass();
        return 'done';
      },
      {},
      { providers: [{ provide: APP_INTERCEPTOR, useClass: Impatient }] },
    );

    expect(await app.send(CREATE, message)).toBe('too late');
    gate.open();
    await eventually(async () => expect(await app.send(CREATE, message)).toBe('done'));
    expect(runs).toBe(1);
  });

  it('is served while the storage is down, or not, as `onStorageFailure` says', async () => {
    const storage = faultyStorage(memoryStorage());
    const options = { storage, storageTimeout: '100ms' } as const;
    const strict = await start(() => 'ran', {}, { options });
    const loose = await start(() => 'ran', { onStorageFailure: 'run' }, { options });
    storage.rejectNext('claim', Infinity);

    expect(await strict.send(CREATE, message)).toMatchObject({
      error: { code: 'storage-unavailable', retryAfter: 1 },
    });
    expect(await loose.send(CREATE, message)).toBe('ran');
  });

  it('is taken over after a crash, and the late reply does not overwrite the successor’s', async () => {
    const clock = new FakeClock();
    const options = { storage: new MemoryStorage({ clock }) };
    const gate = new Gate();
    const dead = await start(async () => (await gate.pass(), 'late'), {}, { options });
    const first = dead.send(CREATE, message);
    await gate.reached();
    await clock.advance(30_000);
    const app = await start((_data, op) => [op.attempt, op.takenOver], {}, { options });

    expect(await app.send(CREATE, message)).toEqual([2, true]);
    gate.open();
    expect(await first).toBe('late');
    expect(await app.send(CREATE, message)).toEqual([2, true]);
  });
});
