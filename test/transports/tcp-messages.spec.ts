import { describe, expect, it } from '@jest/globals';
import { Controller, Logger, type ExecutionContext } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { Idempotent, IdempotencyService, messageKey } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { eventually } from '../http/support/eventually.js';
import { startTcp } from './support/tcp-app.js';
import { counted, CREATE, message, startConsumer as start } from './support/tcp-consumer.js';

const kinds = ['microservice', 'hybrid', 'inheriting hybrid'] as const;

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

  it('is of the user that `scope` names, and of nobody else', async () => {
    let runs = 0;
    const scope = (context: ExecutionContext) => context.switchToRpc().getData<{ sku: string }>().sku;
    const app = await start(() => ++runs, { scope, fingerprint: false });
    const as = (sku: string) => app.send(CREATE, { id: 'm1', sku });

    expect([await as('ann'), await as('bob'), await as('ann')]).toEqual([1, 2, 1]);
    expect(await app.send(CREATE, { id: 'm1' })).toMatchObject({ error: { code: 'scope-missing' } });
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

  it('that is refused is told to the log, because nobody else would hear of it, without its key', async () => {
    const lines: string[] = [];
    const { warn } = Logger.prototype;
    const app = await start(() => 'done');
    Logger.overrideLogger(false);
    Logger.prototype.warn = (line: string) => void lines.push(line);
    try {
      await app.emit('orders.created', { id: 'the first' });
      await eventually(() => expect(counted(app, 'completed')).toBe(1));
      await app.emit('orders.created', { id: 'the first', sku: 'B' });
      await app.emit('orders.created', {});

      await eventually(() => expect(lines.filter((line) => /was refused/.test(line))).toHaveLength(2));
      expect(lines.join('\n')).toMatch(
        /An event orders\.created was refused \(key-reused\).*lost unless it is delivered again/,
      );
      expect(lines.join('\n')).toContain('An event orders.created was refused (key-missing)');
      expect(lines.join('\n')).not.toContain('the first');
    } finally {
      Logger.prototype.warn = warn;
    }
  });
});
