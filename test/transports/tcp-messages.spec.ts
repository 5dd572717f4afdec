import { describe, expect, it } from '@jest/globals';
import {
  ConflictException,
  Controller,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { MessagePattern, Payload, RpcException } from '@nestjs/microservices';
import {
  Idempotent,
  IdempotencyService,
  memoryStorage,
  messageKey,
  type IdempotencyEventType,
} from 'nestjs-idempotent';
import { FakeClock, faultyStorage, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { concat, EMPTY, from, map, of, race, throwError, timer, type Observable } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { consumer, type Handle } from './support/one-consumer.js';
import { startTcp, type TcpApp, type TcpOptions } from './support/tcp-app.js';

const kinds = ['microservice', 'hybrid', 'inheriting hybrid'] as const;

const CREATE = 'orders.create';
const message = { id: 'm1', sku: 'A-1' };

const start = (handle: Handle, options: Parameters<typeof consumer>[1] = {}, more: TcpOptions = {}) =>
  startTcp({ controllers: [consumer(handle, options)], ...more });

/** How often an event was published. */
const counted = ({ app }: TcpApp, type: IdempotencyEventType) =>
  app.get(IdempotencyService).counters().get(type) ?? 0;

describe.each(kinds)('a message over TCP to a %s', (as) => {
  it('runs its handler once per key, which may be a number, and replays the reply', async () => {
    let runs = 0;
    const app = await start(
      (data, op, key) => ({ run: ++runs, data, key, op: [op.key, op.attempt] }),
      {},
      { as },
    );

    const first = await app.send(CREATE, { id: 7 });
    const again = await app.send(CREATE, { id: 7 });

    expect(first).toEqual({ run: 1, data: { id: 7 }, key: '7', op: ['7', 1] });
    expect(again).toEqual(first);
    expect([counted(app, 'claimed'), counted(app, 'replayed')]).toEqual([1, 1]);
  });

  it('waits for the one that runs, and gets its reply', async () => {
    const gate = new Gate();
    let runs = 0;
    const app = await start(async () => (await gate.pass(), ++runs), {}, { as });

    const replies = [1, 2, 3].map(() => app.send(CREATE, message));
    await gate.reached();
    gate.open();

    expect(await Promise.all(replies)).toEqual([1, 1, 1]);
  });
});

describe('a message over TCP', () => {
  it('is named by transport and pattern', async () => {
    @Controller()
    class Patterns {
      @MessagePattern({ cmd: 'create', v: 2 })
      @Idempotent({ key: messageKey('id') })
      byObject(@Payload() _data: unknown) {
        return 1;
      }
      @MessagePattern(['a', { b: 1 }])
      @Idempotent({ key: messageKey('id') })
      byTwo(@Payload() _data: unknown) {
        return 2;
      }
    }
    const app = await startTcp({ controllers: [Patterns] });
    const service = app.app.get(IdempotencyService);

    await app.send({ v: 2, cmd: 'create' }, message);
    await app.send('a', message);
    await app.send({ b: 1 }, message);

    for (const operation of ['tcp {"cmd":"create","v":2}', 'tcp a', 'tcp {"b":1}']) {
      const record = await service.inspect(service.recordId({ operation, key: 'm1' }));
      expect([operation, record?.state]).toEqual([operation, 'completed']);
    }
  });

  it('without a key, or with one that is none, is refused with a problem', async () => {
    const app = await start(() => 'never');

    expect(await app.send(CREATE, { sku: 'x' })).toEqual({
      error: {
        type: 'about:blank',
        title: 'Idempotency key missing',
        status: 400,
        code: 'key-missing',
        detail: expect.stringMatching(/^tcp orders\.create needs the member `id` of the message\./),
      },
    });
    expect(await app.send(CREATE, { id: { a: 1 } })).toMatchObject({ error: { code: 'key-malformed' } });
  });

  it('whose key is only looked for in a header is refused when it comes, because TCP has none', async () => {
    @Controller()
    class Consumer {
      @MessagePattern('x')
      @Idempotent()
      handle(@Payload() _data: unknown) {
        return 'never';
      }
    }
    const app = await startTcp({ controllers: [Consumer] });

    expect(await app.send('x', message)).toMatchObject({
      error: {
        code: 'key-missing',
        detail: expect.stringContaining('tcp x needs an Idempotency-Key header'),
      },
    });
  });

  it('runs unprotected without a key where none is required', async () => {
    let runs = 0;
    const app = await start((_data, op, key) => [++runs, op.key, key], { required: false });

    expect(await app.send(CREATE, {})).toEqual([1, null, null]);
    expect(await app.send(CREATE, {})).toEqual([2, null, null]);
  });

  it('under the key of another one is refused', async () => {
    let runs = 0;
    const app = await start(() => ++runs);

    await app.send(CREATE, { id: 'm1', sku: 'A', at: 1 });

    expect(await app.send(CREATE, { at: 1, sku: 'A', id: 'm1' })).toBe(1);
    expect(await app.send(CREATE, { id: 'm1', sku: 'B', at: 1 })).toMatchObject({
      error: { code: 'key-reused', status: 422 },
    });
  });

  it('is compared without the members that `fingerprint` excludes', async () => {
    let runs = 0;
    const app = await start(() => ++runs, { fingerprint: { exclude: ['sentAt'] } });

    await app.send(CREATE, { id: 'm1', sentAt: 1 });

    expect(await app.send(CREATE, { id: 'm1', sentAt: 2 })).toBe(1);
  });

  it('gives up waiting after `waitTimeout`, with the time to come again', async () => {
    const gate = new Gate();
    const app = await start(() => gate.pass(), { waitTimeout: '50ms' });

    const first = app.send(CREATE, message);
    await gate.reached();
    const second = await app.send(CREATE, message);
    gate.open();
    await first;

    expect(second).toMatchObject({ error: { code: 'key-in-progress', status: 409, retryAfter: 1 } });
  });

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

describe('an event over TCP', () => {
  it('runs its handler once; a duplicate of a running one waits for it', async () => {
    const gate = new Gate();
    const seen: unknown[] = [];
    const app = await start(async (data, op, key) => {
      await gate.pass();
      seen.push([data.id, op.key, key]);
    });

    await app.emit('orders.created', message);
    await gate.reached();
    await app.emit('orders.created', message);
    gate.open();

    await eventually(() => expect(counted(app, 'replayed')).toBe(1));
    expect(seen).toEqual([['m1', 'm1', 'm1']]);
  });

  it('whose handler threw may come again', async () => {
    let runs = 0;
    const app = await start(() => {
      runs += 1;
      if (runs === 1) throw new Error('x');
    });

    await app.emit('orders.created', message);
    await eventually(() => expect(counted(app, 'released')).toBe(1));
    await app.emit('orders.created', message);

    await eventually(() => expect(counted(app, 'completed')).toBe(1));
    expect(runs).toBe(2);
  });

  it('whose handler returned what cannot be kept does nothing when it comes again', async () => {
    let runs = 0;
    const app = await start(() => (runs++, () => 'a function'));

    await app.emit('orders.created', message);
    await eventually(() => expect(counted(app, 'completed')).toBe(1));
    await app.emit('orders.created', message);

    await eventually(() => expect(counted(app, 'replayed')).toBe(1));
    expect(runs).toBe(1);
  });
});
