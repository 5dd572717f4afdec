import { describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  Controller,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type ArgumentsHost,
  type CallHandler,
  type ExecutionContext,
  type RpcExceptionFilter,
} from '@nestjs/common';
import { ClientProxyFactory, RmqRecordBuilder, RpcException, Transport } from '@nestjs/microservices';
import type { ConfirmChannel, Options } from 'amqplib';
import { headerKey, memoryStorage } from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { EMPTY, lastValueFrom, take, timeout, type Observable } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { eventConsumer, plainConsumer, requestConsumer, type OnDelivery } from './support/order-consumer.js';
import {
  RabbitFixture,
  type RabbitApp,
  type RabbitAppOptions,
  type TestQueue,
} from './support/rabbit-fixture.js';

const PLACED = 'orders.placed';

describe('messages that RabbitMQ waits to be acknowledged', () => {
  const rabbit = new RabbitFixture();

  interface Consumed {
    readonly queue: TestQueue;
    readonly app: RabbitApp;
    send(data: unknown, options?: Options.Publish): Promise<void>;
    /** Of all the messages: left in the queue once the consumer is gone, and refused. */
    ended(): Promise<{ left: number; dead: number }>;
  }

  async function consume(given: RabbitAppOptions): Promise<Consumed> {
    const queue = await rabbit.newQueue();
    const app = await rabbit.start(queue, given);
    return {
      queue,
      app,
      send: (data, options) => rabbit.publish(queue, PLACED, data, options),
      ended: async () => {
        await app.close();
        const [left, dead] = [await rabbit.waiting(queue.name), await rabbit.waiting(queue.deadLetters)];
        return { left, dead };
      },
    };
  }

  /** One consumer of the event, with these decorators around it. */
  const consumeBy = (handle: OnDelivery, ...around: MethodDecorator[]): Promise<Consumed> =>
    consume({ controllers: [eventConsumer(handle, { waitTimeout: '100ms' }, ...around)] });

  const dead = ({ queue }: Consumed, count: number): Promise<void> =>
    eventually(async () => expect(await rabbit.waiting(queue.deadLetters)).toBe(count));

  describe('when their handler', () => {
    it('has returned: are done, and so are their duplicates', async () => {
      let runs = 0;
      const consumed = await consumeBy(() => (runs += 1));
      for (let copy = 0; copy < 3; copy += 1) await consumed.send({ id: 'm1' });

      await eventually(() => expect(consumed.app.count('replayed')).toBe(2));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(runs).toBe(1);
    });

    it('is running: stay with RabbitMQ, which has them back when the consumer is gone', async () => {
      const gate = new Gate();
      const consumed = await consumeBy(() => gate.pass());
      rabbit.later(() => gate.open());
      await consumed.send({ id: 'm1' });
      await gate.reached();

      expect(await consumed.ended()).toEqual({ left: 1, dead: 0 });
    });

    it('throws: come again after a pause that grows', async () => {
      const at: number[] = [];
      const consumed = await consumeBy(({ op }) => {
        at.push(performance.now());
        expect(op.attempt).toBe(at.length);
        if (at.length < 4) throw new Error('not yet');
      });
      await consumed.send({ id: 'm1' });

      await eventually(() => expect(consumed.app.count('completed')).toBe(1));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0));
      // 100, 200 and 400 ms, of which at least the half is waited.
      [50, 100, 200].forEach((least, index) => expect(pauses[index]).toBeGreaterThan(least - 5));
    });

    it('throws what is final: are refused, and so are their duplicates', async () => {
      let runs = 0;
      const consumed = await consumeBy(() => {
        runs += 1;
        throw new RpcException('sold out');
      });
      await consumed.send({ id: 'm1' });
      await dead(consumed, 1);
      await consumed.send({ id: 'm1' });
      await dead(consumed, 2);

      expect(await consumed.ended()).toEqual({ left: 0, dead: 2 });
      expect(runs).toBe(1);
    });

    it('runs for another copy: wait, are given back, and are done when that one is', async () => {
      const gate = new Gate();
      const consumed = await consumeBy(() => gate.pass());
      await consumed.send({ id: 'm1' });
      await gate.reached();
      await consumed.send({ id: 'm1' });

      // Refused more than once, so it was delivered again.
      await eventually(() => expect(consumed.app.count('in-progress')).toBeGreaterThan(1));
      gate.open();
      await eventually(() => expect(consumed.app.count('replayed')).toBe(1));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(consumed.app.count('claimed')).toBe(1);
    });
  });

  it('come again when another run owns the record by then', async () => {
    let runs = 0;
    const consumed: Consumed = await consumeBy(async () => {
      runs += 1;
      const { service } = consumed.app;
      if (runs === 1) await service.forget(service.recordId({ operation: 'rmq orders.placed', key: 'm1' }));
    });
    await consumed.send({ id: 'm1' });
    await eventually(() => expect(consumed.app.count('completed')).toBe(1));

    expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
    expect([runs, consumed.app.count('superseded')]).toEqual([2, 1]);
  });

  it('are done when the outcome could not be stored yet', async () => {
    const storage = faultyStorage(memoryStorage());
    const consumed = await consume({ controllers: [eventConsumer(() => 'done')], options: { storage } });
    const gate = storage.holdCall('complete', 1000);
    rabbit.later(() => storage.heal());
    await consumed.send({ id: 'm1' });
    await gate.reached();
    await eventually(() => expect(consumed.app.count('unrecorded')).toBe(1));

    expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
  });

  describe('when they cannot be handled', () => {
    it('for want of a key, or with one of another message: are refused, once', async () => {
      const consumed = await consumeBy(() => 'done');
      await consumed.send({ sku: 'A-1' });
      await consumed.send({ id: { not: 'a key' } });
      await consumed.send({ id: 'm1', sku: 'A-1' });
      await consumed.send({ id: 'm1', sku: 'B-2' });
      await dead(consumed, 3);

      expect(await consumed.ended()).toEqual({ left: 0, dead: 3 });
      expect(consumed.app.count('completed')).toBe(1);
    });

    it('because the storage does not answer: come again', async () => {
      const storage = faultyStorage(memoryStorage());
      storage.rejectNext('claim', 1000);
      const consumed = await consume({ controllers: [eventConsumer(() => 'done')], options: { storage } });
      await consumed.send({ id: 'm1' });
      await eventually(() => expect(storage.calls('claim').length).toBeGreaterThan(1));
      storage.heal();

      await eventually(() => expect(consumed.app.count('completed')).toBe(1));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
    });

    it('because a pipe finds them wrong: are refused; because it fails: come again', async () => {
      let failures = 0;
      const pipe = {
        transform(value: unknown, { type }: { readonly type: string }) {
          const { sku } = value as { sku?: string };
          if (type === 'body' && sku === 'wrong') throw new BadRequestException('no such sku');
          if (type === 'body' && sku === 'later' && failures++ < 2) throw new Error('no connection');
          return value;
        },
      };
      const consumed = await consumeBy(() => 'done', UsePipes(pipe));
      await consumed.send({ id: 'm1', sku: 'wrong' });
      await consumed.send({ id: 'm2', sku: 'later' });

      await dead(consumed, 1);
      await eventually(() => expect(consumed.app.count('completed')).toBe(1));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 1 });
    });

    it('because a guard refuses them: are refused; because it fails: come again', async () => {
      let failures = 0;
      const guard = {
        canActivate(context: ExecutionContext) {
          const { sku } = context.switchToRpc().getData<{ sku?: string }>();
          if (sku === 'later' && failures++ < 1) throw new Error('no connection');
          return sku !== 'forbidden';
        },
      };
      const consumed = await consumeBy(() => 'done', UseGuards(guard));
      await consumed.send({ id: 'm1', sku: 'forbidden' });
      await consumed.send({ id: 'm2', sku: 'later' });

      await dead(consumed, 1);
      await eventually(() => expect(consumed.app.count('completed')).toBe(1));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 1 });
    });

    it('do not bring a consumer of one at a time to a standstill', async () => {
      const done: unknown[] = [];
      const queue = await rabbit.newQueue();
      const app = await rabbit.start(queue, {
        controllers: [
          eventConsumer(({ data, op }) => {
            if (data.sku === 'later' && op.attempt < 3) throw new Error('not yet');
            if (data.sku === 'never') throw new RpcException('never');
            done.push(data.id);
          }),
        ],
        rmq: { prefetchCount: 1 },
      });
      const first = { id: 'm1' };
      const all = [
        first,
        first,
        {},
        { id: 'm2', sku: 'later' },
        { id: 'm3', sku: 'never' },
        first,
        { id: 'm4' },
      ];
      for (const data of all) await rabbit.publish(queue, PLACED, data);

      await eventually(async () => {
        expect(new Set(done)).toEqual(new Set(['m1', 'm2', 'm4']));
        expect([await rabbit.waiting(queue.name), await rabbit.waiting(queue.deadLetters)]).toEqual([0, 2]);
      });
      await app.close();
      expect([done.length, await rabbit.waiting(queue.name)]).toEqual([3, 0]);
    });
  });

  describe('when something else answers', () => {
    it('while their handler runs: are done when that is through', async () => {
      const gate = new Gate();
      let answered = 0;
      const outer = {
        intercept: (_context: ExecutionContext, next: CallHandler): Observable<unknown> => {
          const source: Observable<unknown> = next.handle();
          return source.pipe(timeout({ first: 50, with: () => (answered++, EMPTY) }));
        },
      };
      const consumed = await consume({
        // Of the class, so that it stands outside of the decorator's.
        controllers: [
          atClass(
            eventConsumer(() => gate.pass()),
            UseInterceptors(outer),
          ),
        ],
        options: { interceptor: 'decorated' },
      });
      await consumed.send({ id: 'm1' });
      await eventually(() => expect(answered).toBe(1));
      gate.open();
      await eventually(() => expect(consumed.app.count('completed')).toBe(1));

      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(consumed.app.count('claimed')).toBe(1);
    });

    it('while their handler runs without a key: are done when that is through', async () => {
      const gate = new Gate();
      let [runs, answered] = [0, 0];
      const outer = {
        intercept: (_context: ExecutionContext, next: CallHandler): Observable<unknown> => {
          const source: Observable<unknown> = next.handle();
          return source.pipe(timeout({ first: 50, with: () => (answered++, EMPTY) }));
        },
      };
      const handle = async () => ((runs += 1), gate.pass());
      const consumed = await consume({
        controllers: [atClass(eventConsumer(handle, { required: false }), UseInterceptors(outer))],
        options: { interceptor: 'decorated' },
        rmq: { prefetchCount: 1 },
      });
      await consumed.send({ sku: 'A-1' });
      await consumed.send({ sku: 'A-2' });
      await eventually(() => expect(answered).toBe(1));
      gate.open();
      await eventually(() => expect(runs).toBe(2));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(runs).toBe(2);
    });

    it('and wants no more than their first value: are done, and so are their duplicates', async () => {
      const first = {
        intercept: (_context: ExecutionContext, next: CallHandler): Observable<unknown> => {
          const source: Observable<unknown> = next.handle();
          return source.pipe(take(1));
        },
      };
      const consumer = eventConsumer(() => 'done', { required: false });
      const consumed = await consume({
        controllers: [atClass(consumer, UseInterceptors(first))],
        options: { interceptor: 'decorated' },
        rmq: { prefetchCount: 1 },
      });
      for (const data of [{ id: 'm1' }, { id: 'm1' }, { sku: 'A-1' }, { id: 'm2' }])
        await consumed.send(data);
      await eventually(() => expect(consumed.app.count('completed')).toBe(2));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect([consumed.app.count('replayed'), consumed.app.count('unprotected')]).toEqual([1, 1]);
    });

    it('before the storage has: come again, and run then', async () => {
      let late = true;
      const inner = memoryStorage();
      const claim = inner.claim.bind(inner);
      const gate = new Gate();
      inner.claim = async (...args: Parameters<typeof claim>) => {
        if (late) await gate.pass();
        return claim(...args);
      };
      const outer = {
        intercept: (_context: ExecutionContext, next: CallHandler): Observable<unknown> => {
          const source: Observable<unknown> = next.handle();
          return late
            ? source.pipe(timeout({ first: 50, with: () => ((late = false), gate.open(), EMPTY) }))
            : source;
        },
      };
      const consumed = await consume({
        controllers: [
          atClass(
            eventConsumer(() => 'done'),
            UseInterceptors(outer),
          ),
        ],
        options: { interceptor: 'decorated', storage: inner },
      });
      await consumed.send({ id: 'm1' });
      await eventually(() => expect(consumed.app.count('completed')).toBe(1));

      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
    });

    it('an exception filter knows what it does: what it says goes out', async () => {
      const filter: RpcExceptionFilter = {
        catch(error: Error, host: ArgumentsHost) {
          const context = host
            .switchToRpc()
            .getContext<{ getChannelRef(): ConfirmChannel; getMessage(): never }>();
          context.getChannelRef().nack(context.getMessage(), false, false);
          throw error;
        },
      };
      let runs = 0;
      const consumed = await consumeBy(() => {
        runs += 1;
        throw new Error('never');
      }, UseFilters(filter));
      await consumed.send({ id: 'm1' });
      await dead(consumed, 1);

      expect(await consumed.ended()).toEqual({ left: 0, dead: 1 });
      expect(runs).toBe(1);
    });
  });

  describe('when their handler acknowledges by itself', () => {
    it('are done once its outcome is recorded, and the channel stays open', async () => {
      const gate = new Gate();
      const channels = new Set<ConfirmChannel>();
      const consumed = await consumeBy(async ({ data, channel, message }) => {
        channels.add(channel);
        channel.ack(message);
        channel.ack(message);
        if (data.id === 'm3') await gate.pass();
      });
      for (const id of ['m1', 'm1', 'm2', 'm3']) await consumed.send({ id });
      await gate.reached();
      await eventually(() => expect(consumed.app.count('completed')).toBe(2));

      // That of `m3` has said so and is not through.
      expect(await consumed.ended()).toEqual({ left: 1, dead: 0 });
      expect(channels.size).toBe(1);
      gate.open();
    });

    it('and throws then: come again', async () => {
      const consumed = await consumeBy(({ op, channel, message }) => {
        channel.ack(message);
        if (op.attempt === 1) throw new Error('not yet');
      });
      await consumed.send({ id: 'm1' });
      await eventually(() => expect(consumed.app.count('completed')).toBe(1));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
    });

    it('by giving them back, or away: run again, or are refused', async () => {
      const attempts: number[] = [];
      const consumed = await consumeBy(({ data, op, channel, message }) => {
        if (data.id === 'away') return channel.reject(message, false);
        attempts.push(op.attempt);
        if (op.attempt < 3) channel.nack(message);
      });
      await consumed.send({ id: 'back' });
      await consumed.send({ id: 'away' });
      await eventually(() => expect(consumed.app.count('completed')).toBe(2));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 1 });
      expect(attempts).toEqual([1, 2, 3]);
    });

    it('with a copy of the message: are done once', async () => {
      const channels = new Set<ConfirmChannel>();
      const consumed = await consumeBy(({ channel, message }) => {
        channels.add(channel);
        channel.ack({ ...message });
      });
      for (const id of ['m1', 'm2']) await consumed.send({ id });
      await eventually(() => expect(consumed.app.count('completed')).toBe(2));
      await consumed.send({ id: 'm3' });
      await eventually(() => expect(consumed.app.count('completed')).toBe(3));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(channels.size).toBe(1);
    });

    it('for all before it: are not acknowledged once more', async () => {
      const channels = new Set<ConfirmChannel>();
      const consumed = await consumeBy(({ channel, message }) => {
        channels.add(channel);
        channel.ack(message, true);
      });
      for (const id of ['m1', 'm2', 'm3']) await consumed.send({ id });
      await eventually(() => expect(consumed.app.count('completed')).toBe(3));
      await consumed.send({ id: 'm4' });
      await eventually(() => expect(consumed.app.count('completed')).toBe(4));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(channels.size).toBe(1);
    });
  });

  describe('when several handlers consume one event', () => {
    it('run each of them once, and are done when the last one is', async () => {
      const runs: string[] = [];
      const gate = new Gate();
      const consumed = await consume({
        controllers: [
          eventConsumer(() => void runs.push('stock'), { operation: 'stock' }),
          eventConsumer(async () => (runs.push('mail'), gate.pass()), { operation: 'mail' }),
        ],
      });
      await consumed.send({ id: 'm1' });
      await gate.reached();
      await eventually(() => expect(consumed.app.count('completed')).toBe(1));
      gate.open();
      await eventually(() => expect(consumed.app.count('completed')).toBe(2));
      await consumed.send({ id: 'm1' });
      await eventually(() => expect(consumed.app.count('replayed')).toBe(2));

      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(runs).toEqual(['stock', 'mail']);
    });

    it('stay with RabbitMQ as long as one of them runs', async () => {
      const gate = new Gate();
      const consumed = await consume({
        controllers: [
          eventConsumer(() => 'done', { operation: 'stock' }),
          eventConsumer(() => gate.pass(), { operation: 'mail' }),
        ],
      });
      rabbit.later(() => gate.open());
      await consumed.send({ id: 'm1' });
      await gate.reached();
      await eventually(() => expect(consumed.app.count('completed')).toBe(1));
      expect(await consumed.ended()).toEqual({ left: 1, dead: 0 });
    });

    it.each([
      ['first', 0],
      ['second', 1],
    ])('come again for the %s one alone when it throws', async (_name, failing) => {
      const runs = [0, 0];
      const handle = (index: number) => () => {
        runs[index] = (runs[index] ?? 0) + 1;
        if (index === failing && (runs[index] ?? 0) < 2) throw new Error('not yet');
      };
      const consumed = await consume({
        controllers: [
          eventConsumer(handle(0), { operation: 'stock' }),
          eventConsumer(handle(1), { operation: 'mail' }),
        ],
      });
      await consumed.send({ id: 'm1' });
      await eventually(() => expect(consumed.app.count('completed')).toBe(2));
      await eventually(() => expect(consumed.app.count('replayed')).toBe(1));

      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(runs).toEqual(failing === 0 ? [2, 1] : [1, 2]);
    });

    it('and one of them, or both, are made for each message: are done when the last one is', async () => {
      const perMessage = Controller({ scope: Scope.REQUEST });
      const runs: string[] = [];
      const consumed = await consume({
        controllers: [
          atClass(
            eventConsumer(() => void runs.push('stock'), { operation: 'stock' }),
            perMessage,
          ),
          eventConsumer(
            ({ op }) => {
              runs.push('mail');
              if (op.attempt === 1) throw new Error('not yet');
            },
            { operation: 'mail' },
          ),
          atClass(
            eventConsumer(() => void runs.push('log'), { operation: 'log' }),
            perMessage,
          ),
        ],
      });
      await consumed.send({ id: 'm1' });
      await eventually(() => expect(consumed.app.count('completed')).toBe(3));
      await eventually(() => expect(consumed.app.count('replayed')).toBe(2));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect([...runs].sort()).toEqual(['log', 'mail', 'mail', 'stock']);
    });

    it('run the others although a guard refuses one', async () => {
      let runs = 0;
      const consumed = await consume({
        controllers: [
          eventConsumer(() => 'never', { operation: 'stock' }, UseGuards({ canActivate: () => false })),
          eventConsumer(() => (runs += 1), { operation: 'mail' }),
        ],
      });
      await consumed.send({ id: 'm1' });
      await dead(consumed, 1);
      expect(await consumed.ended()).toEqual({ left: 0, dead: 1 });
      expect(runs).toBe(1);
    });

    it('and one of them, which is not decorated, acknowledges: are told once', async () => {
      const channels = new Set<ConfirmChannel>();
      const consumed = await consume({
        controllers: [
          plainConsumer((channel, message) => {
            channels.add(channel);
            channel.ack(message);
          }),
          eventConsumer(({ op }) => {
            if (op.attempt === 1) throw new Error('not yet');
          }),
        ],
      });
      await consumed.send({ id: 'm1' });
      await consumed.send({ id: 'm2' });
      await eventually(() => expect(consumed.app.count('completed')).toBe(2));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(channels.size).toBe(1);
    });
  });

  it('come again for a decorated handler although another one acknowledges after it has thrown', async () => {
    const consumed: Consumed = await consume({
      controllers: [
        eventConsumer(({ op }) => {
          if (op.attempt === 1) throw new Error('not yet');
        }),
        plainConsumer(async (channel, message) => {
          await eventually(() => expect(consumed.app.count('released')).toBe(1));
          channel.ack(message);
        }),
      ],
    });
    await consumed.send({ id: 'm1' });
    await eventually(() => expect(consumed.app.count('completed')).toBe(1));
    expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
  });

  it('wait before they come again also when another application of the process has stopped', async () => {
    const at: number[] = [];
    const controllers = [
      eventConsumer(({ op }) => {
        at.push(performance.now());
        if (op.attempt < 3) throw new Error('not yet');
      }),
    ];
    const consumed = await consume({ controllers });
    const other = await consume({ controllers });
    await other.send({ id: 'm1' });
    await eventually(() => expect(other.app.count('completed')).toBe(1));
    await other.app.close();
    at.length = 0;
    await consumed.send({ id: 'm1' });
    await eventually(() => expect(consumed.app.count('completed')).toBe(1));
    const [first = 0, , third = 0] = at;
    // 100 and 200 ms, of which at least the half is waited.
    expect(third - first).toBeGreaterThan(145);
    expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
  });

  it('are refused by their queue when they have come as often as it allows', async () => {
    const name = 'orders-quorum';
    const queue = { name, deadLetters: `${name}-dead` };
    const queueOptions = {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-delivery-limit': 2,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': queue.deadLetters,
      },
    };
    await rabbit.channel.assertQueue(queue.deadLetters, { durable: false });
    await rabbit.channel.assertQueue(name, queueOptions);
    let runs = 0;
    const handle = () => {
      runs += 1;
      throw new Error('never');
    };
    const app = await rabbit.start(queue, { controllers: [eventConsumer(handle)], rmq: { queueOptions } });
    await rabbit.publish(queue, PLACED, { id: 'm1' });
    await eventually(async () => expect(await rabbit.waiting(queue.deadLetters)).toBe(1));
    await app.close();
    expect([runs, await rabbit.waiting(name)]).toEqual([3, 0]);
  });

  it('are as Nest has them when none of their handlers is decorated', async () => {
    const channels = new Set<ConfirmChannel>();
    const consumed = await consume({
      controllers: [
        requestConsumer(() => 'there'),
        plainConsumer((channel, message) => {
          channels.add(channel);
          if (message.properties.messageId === 'ack') channel.ack(message);
          if (message.properties.messageId === 'nack') channel.nack(message, false, false);
        }),
      ],
    });
    for (const messageId of ['ack', 'nack', 'neither']) await consumed.send({}, { messageId });
    await dead(consumed, 1);
    expect(await consumed.ended()).toEqual({ left: 1, dead: 1 });
    expect(channels.size).toBe(1);
  });

  it('run once in all of the consumers of one queue, and in each of two queues', async () => {
    const storage = memoryStorage();
    const [stock, mail] = [await rabbit.newQueue(), await rabbit.newQueue()];
    const runs: string[] = [];
    const start = (queue: TestQueue, operation: string) =>
      rabbit.start(queue, {
        controllers: [eventConsumer(({ data }) => runs.push(`${operation} ${data.id}`), { operation })],
        options: { storage },
        rmq: { prefetchCount: 1 },
      });
    const apps = [await start(stock, 'stock'), await start(stock, 'stock'), await start(mail, 'mail')];
    for (const id of ['m1', 'm2', 'm1', 'm2', 'm1']) {
      for (const queue of [stock, mail]) await rabbit.publish(queue, PLACED, { id });
    }
    const counted = (type: 'completed' | 'replayed') => apps.reduce((sum, app) => sum + app.count(type), 0);
    await eventually(() => expect([counted('completed'), counted('replayed')]).toEqual([4, 6]));
    expect([...runs].sort()).toEqual(['mail m1', 'mail m2', 'stock m1', 'stock m2']);
    for (const app of apps) await app.close();
    expect([await rabbit.waiting(stock.name), await rabbit.waiting(mail.name)]).toEqual([0, 0]);
  });

  it('go back to RabbitMQ, and leave no timer, when the consumer stops while they wait to come again', async () => {
    let runs = 0;
    const consumed = await consumeBy(() => {
      runs += 1;
      throw new Error('never');
    });
    await consumed.send({ id: 'm1' });
    // The pause after the fifth is at least 800 ms.
    await eventually(() => expect(consumed.app.count('released')).toBe(5));
    expect(await consumed.ended()).toEqual({ left: 1, dead: 0 });
    expect(runs).toBe(5);
  });

  it('leave channels alone whose consumer does not acknowledge, as is the default of Nest', async () => {
    const queue = await rabbit.newQueue();
    const channels = new Set<ConfirmChannel>();
    const controllers = [
      eventConsumer(({ op, channel }) => {
        channels.add(channel);
        if (op.attempt === 1) throw new Error('not yet');
      }),
    ];
    const app = await rabbit.start(queue, { controllers, rmq: { noAck: true } });
    await rabbit.publish(queue, PLACED, { id: 'm1' });
    await eventually(() => expect(app.count('released')).toBe(1));
    for (const id of ['m1', 'm1', 'm2']) await rabbit.publish(queue, PLACED, { id });
    await eventually(() => expect([app.count('replayed'), app.count('released')]).toEqual([1, 2]));
    expect(channels.size).toBe(1);
  });

  describe('and answered', () => {
    async function ask(handle: OnDelivery) {
      const consumed = await consume({ controllers: [requestConsumer(handle, { waitTimeout: '100ms' })] });
      const { queue } = consumed;
      const client = ClientProxyFactory.create({
        transport: Transport.RMQ,
        options: {
          urls: [rabbit.server.url],
          queue: queue.name,
          // It is there already.
          noAssert: true,
        },
      });
      rabbit.later(() => client.close());
      const send = (data: unknown): Promise<unknown> =>
        lastValueFrom(client.send<unknown, unknown>('orders.check', data)).catch((error: unknown) => ({
          error,
        }));
      return { consumed, send };
    }

    it('are done with whatever reply their sender gets', async () => {
      let runs = 0;
      const { consumed, send } = await ask(({ data }) => {
        runs += 1;
        if (data.sku === 'bad') throw new Error('broken');
        if (data.sku === 'none') throw new RpcException('sold out');
        return 'there';
      });
      expect(await send({ id: 'm1', sku: 'A' })).toBe('there');
      expect(await send({ id: 'm1', sku: 'A' })).toBe('there');
      expect(await send({ id: 'm2', sku: 'bad' })).toEqual({
        error: expect.objectContaining({ status: 'error' }),
      });
      expect(await send({ id: 'm3', sku: 'none' })).toEqual({
        error: { status: 'error', message: 'sold out' },
      });
      expect(await send({ sku: 'A' })).toEqual({ error: expect.objectContaining({ code: 'key-missing' }) });
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(runs).toBe(3);
    });

    it('come again when they ask for a reply that Nest does not send', async () => {
      let runs = 0;
      const { consumed } = await ask(() => {
        runs += 1;
        if (runs === 1) throw new Error('not yet');
      });
      const data = { id: 'm1' };
      await rabbit.publish(consumed.queue, 'orders.check', data, { replyTo: consumed.queue.deadLetters });
      await eventually(() => expect(consumed.app.count('completed')).toBe(1));
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
      expect(runs).toBe(2);
    });

    it('stay with RabbitMQ when another copy is running', async () => {
      const gate = new Gate();
      const { consumed, send } = await ask(async () => (await gate.pass(), 'there'));
      const first = send({ id: 'm1' });
      await gate.reached();
      expect(await send({ id: 'm1' })).toEqual({
        error: expect.objectContaining({ code: 'key-in-progress' }),
      });
      gate.open();
      expect(await first).toBe('there');
      await eventually(() => expect(consumed.app.count('replayed')).toBe(1));
      // The reply to the second delivery has left when this one is there.
      expect(await send({ id: 'm1' })).toBe('there');
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
    });

    it('have a correlation id of their own, not the number that Nest gives to a request', async () => {
      const seen: unknown[] = [];
      const { send } = await ask(({ op, message }) =>
        seen.push(op.correlationId, message.properties.correlationId),
      );
      await send({ id: 'm1' });
      expect(seen[0]).toMatch(/^[0-9a-f-]{36}$/);
      expect(seen[1]).toEqual(expect.any(String));
      expect(seen[0]).not.toBe(seen[1]);
    });
  });

  describe('have their key', () => {
    it('in the property of AMQP, however it is written', async () => {
      const names = ['messageId', 'message-id', 'MESSAGEID'];
      const keys: unknown[] = [];
      const consumed = await consume({
        controllers: names.map((name) =>
          eventConsumer(({ op }) => keys.push(op.key), { key: headerKey(name), operation: name }),
        ),
      });
      await consumed.send({ sku: 'A' }, { messageId: 'id-1' });
      await consumed.send({ sku: 'A' }, { messageId: 'id-1' });
      await eventually(() => expect(consumed.app.count('replayed')).toBe(3));
      expect(keys).toEqual(['id-1', 'id-1', 'id-1']);
      expect(await consumed.ended()).toEqual({ left: 0, dead: 0 });
    });

    it('in a header that Nest sends, in any case of letters', async () => {
      const keys: unknown[] = [];
      const consumed = await consume({
        controllers: [eventConsumer(({ op }) => keys.push(op.key), { key: headerKey('Idempotency-Key') })],
      });
      const client = ClientProxyFactory.create({
        transport: Transport.RMQ,
        options: { urls: [rabbit.server.url], queue: consumed.queue.name, noAssert: true },
      });
      rabbit.later(() => client.close());
      for (const name of ['Idempotency-Key', 'IDEMPOTENCY-KEY', 'idempotency-key']) {
        const record = new RmqRecordBuilder({ sku: 'A' }).setOptions({ headers: { [name]: name } }).build();
        await lastValueFrom(client.emit(PLACED, record), { defaultValue: undefined });
      }
      await eventually(() => expect(keys).toEqual(['Idempotency-Key', 'IDEMPOTENCY-KEY', 'idempotency-key']));
    });
  });

  it('carry a correlation id in the property of AMQP, or beside the payload', async () => {
    const seen: unknown[] = [];
    const consumed = await consumeBy(({ op }) => seen.push(op.correlationId));
    await consumed.send({ id: 'm1' }, { correlationId: 'of-the-property' });
    await consumed.send({ id: 'm2', correlationId: 'of-the-payload' });
    const headers = { 'X-Request-Id': 'of-the-header' };
    await consumed.send(
      { id: 'm3', correlationId: 'of-the-payload' },
      { headers, correlationId: 'of-the-property' },
    );
    await eventually(() =>
      expect([...seen].sort()).toEqual(['of-the-header', 'of-the-payload', 'of-the-property']),
    );
  });
});

function atClass<T extends object>(type: T, decorator: ClassDecorator): T {
  decorator(type as never);
  return type;
}
