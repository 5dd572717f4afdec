import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, UseGuards, type Type } from '@nestjs/common';
import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import {
  ClientProxyFactory,
  Ctx,
  EventPattern,
  MessagePattern,
  NatsRecordBuilder,
  Payload,
  RpcException,
  Transport,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  headerKey,
  Idempotent,
  IdempotencyModule,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
  memoryStorage,
  messageKey,
  type IdempotencyEventType,
  type IdempotencyStorage,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { readFileSync } from 'node:fs';
import { lastValueFrom } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { startNats, type NatsServer } from '../support/nats-server.js';
import { JetStreamContext, JetStreamServer } from './support/jetstream-server.js';

interface Received {
  readonly data: { readonly id?: string; readonly sku?: string };
  readonly op: IdempotentOperation;
  readonly context: JetStreamContext;
}
type Handle = (received: Received) => unknown;

interface Running {
  count(type: IdempotencyEventType): number;
  close(): Promise<void>;
}

let server: NatsServer;
const closers: (() => unknown)[] = [];
beforeAll(async () => {
  server = await startNats();
}, 30_000);
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(() => server.stop());

async function start(
  controllers: Type[],
  options: MicroserviceOptions,
  storage: IdempotencyStorage = memoryStorage(),
): Promise<Running> {
  const imports = [IdempotencyModule.forRoot({ namespace: 'shop', storage, storageTimeout: '300ms' })];
  const testing = await Test.createTestingModule({ imports, controllers }).compile();
  const app = testing.createNestMicroservice<MicroserviceOptions>({ ...options, logger: false } as never);
  await app.listen();
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= app.close());
  closers.push(close);
  const service = app.get(IdempotencyService);
  return { close, count: (type) => service.counters().get(type) ?? 0 };
}

function eventConsumer(
  handle: Handle,
  options: IdempotentOptions = {},
  guard?: { canActivate(): boolean },
): Type {
  @Controller()
  class EventConsumer {
    @Idempotent({ key: messageKey('id'), waitTimeout: '100ms', ...options })
    @UseGuards(guard ?? { canActivate: () => true })
    @EventPattern<string>('orders.placed')
    placed(
      @Payload() data: Received['data'],
      @Ctx() context: JetStreamContext,
      @IdempotentOp() op: IdempotentOperation,
    ): unknown {
      return handle({ data, op, context });
    }
  }
  return EventConsumer;
}

describe('messages of NATS', () => {
  const core = () => ({ transport: Transport.NATS as const, options: { servers: [server.url] } });

  it.each(['Nats-Msg-Id', 'NATS-MSG-ID', 'nats-msg-id'])('run once per key in a header %s', async (name) => {
    const keys: unknown[] = [];
    @Controller()
    class Consumer {
      @MessagePattern('orders.create')
      @Idempotent({ key: headerKey('Nats-Msg-Id') })
      create(@Payload() _data: unknown, @IdempotentOp() op: IdempotentOperation) {
        return { run: keys.push(op.key), correlationId: op.correlationId };
      }
    }
    const app = await start([Consumer], core());
    const client = ClientProxyFactory.create(core());
    closers.push(() => client.close());
    const send = () => {
      const sent = headers();
      sent.set(name, 'id-1');
      sent.set('X-Request-Id', 'of-the-header');
      const record = new NatsRecordBuilder({ sku: 'A' }).setHeaders(sent).build();
      return lastValueFrom(client.send<unknown, unknown>('orders.create', record));
    };

    const reply = { run: 1, correlationId: 'of-the-header' };
    expect([await send(), await send()]).toEqual([reply, reply]);
    expect([keys, app.count('replayed')]).toEqual([['id-1'], 1]);
  });
});

describe('the transport for JetStream', () => {
  it('is the one that the docs show', () => {
    const shown = readFileSync('test/transports/support/jetstream-server.ts', 'utf8').trimEnd();
    expect(readFileSync('docs/transports.md', 'utf8')).toContain(shown);
  });
});

describe('messages of JetStream', () => {
  let connection: NatsConnection;
  let manager: JetStreamManager;
  let stream: JetStreamClient;
  beforeAll(async () => {
    connection = await connect({ servers: server.url });
    manager = await jetstreamManager(connection);
    stream = jetstream(connection);
  });
  afterEach(async () => {
    await manager.streams.delete('ORDERS');
  });
  afterAll(() => connection.close());

  async function consume(
    controllers: Type[],
    storage?: IdempotencyStorage,
    ackWait = 30_000,
  ): Promise<Running> {
    await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
    const strategy = new JetStreamServer({
      servers: server.url,
      stream: 'ORDERS',
      durable: 'stock',
      ackWait,
    });
    return start(controllers, { strategy }, storage);
  }

  const publish = (data: unknown, subject = 'orders.placed') => stream.publish(subject, JSON.stringify(data));

  /** Every message of the stream was told to the server as done or refused, after so many deliveries in all. */
  const allTold = (deliveries: number) =>
    eventually(async () => {
      const { num_ack_pending, num_pending, delivered } = await manager.consumers.info('ORDERS', 'stock');
      expect({ num_ack_pending, num_pending, deliveries: delivered.consumer_seq }).toEqual({
        num_ack_pending: 0,
        num_pending: 0,
        deliveries,
      });
    });

  it('are done when their handler has returned, and so are their duplicates', async () => {
    let runs = 0;
    const app = await consume([eventConsumer(() => (runs += 1))]);
    for (let copy = 0; copy < 3; copy += 1) await publish({ id: 'm1' });
    await publish({ id: 'm1' }, 'orders.of-nobody');
    await allTold(4);
    expect([runs, app.count('replayed')]).toEqual([1, 2]);
  });

  it('come again after a pause when their handler throws, and are terminated when that is final', async () => {
    const at: number[] = [];
    const app = await consume([
      eventConsumer(({ data, op }) => {
        if (data.sku === 'none') throw new RpcException('sold out');
        at.push(performance.now());
        if (op.attempt < 3) throw new Error('not yet');
      }),
    ]);
    await publish({ id: 'm1' });
    await publish({ id: 'm2', sku: 'none' });
    await publish({ id: 'm2', sku: 'none' });
    await publish({ sku: 'no key' });
    await allTold(6);
    expect([at.length, app.count('completed'), app.count('replayed')]).toEqual([3, 2, 1]);
    const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    // 100 and 200 ms, of which at least the half is waited.
    [50, 100].forEach((least, index) => expect(pauses[index]).toBeGreaterThan(least - 5));
  });

  it('are given back while another copy runs, and are done when that one is', async () => {
    const gate = new Gate();
    const app = await consume([eventConsumer(() => gate.pass())]);
    await publish({ id: 'm1' });
    await gate.reached();
    await publish({ id: 'm1' });
    await eventually(() => expect(app.count('in-progress')).toBeGreaterThan(1));
    gate.open();
    await eventually(() => expect(app.count('replayed')).toBe(1));
    await allTold(2 + app.count('in-progress'));
    expect(app.count('claimed')).toBe(1);
  });

  it('are done when each of several handlers is, and run those that no guard refuses', async () => {
    const runs: string[] = [];
    const app = await consume([
      eventConsumer(() => 'never', { operation: 'refused' }, { canActivate: () => false }),
      eventConsumer(() => void runs.push('stock'), { operation: 'stock' }),
      eventConsumer(
        ({ op }) => {
          runs.push('mail');
          if (op.attempt === 1) throw new Error('not yet');
        },
        { operation: 'mail' },
      ),
    ]);
    await publish({ id: 'm1' });
    await allTold(2);
    expect(runs).toEqual(['stock', 'mail', 'mail']);
    expect(app.count('completed')).toBe(2);
  });

  it('are told once, and when the record knows, what their handler says by itself', async () => {
    const app = await consume([
      eventConsumer(async ({ data, op, context }) => {
        const message = context.getMessage();
        if (data.id === 'done') await message.ackAck();
        if (data.id === 'back' && op.attempt === 1) message.nak();
        if (data.id === 'away') message.term();
        if (data.id === 'throws') {
          message.ack();
          if (op.attempt === 1) throw new Error('not yet');
        }
      }),
    ]);
    for (const id of ['done', 'back', 'away', 'throws']) await publish({ id });
    await allTold(6);
    expect([app.count('completed'), app.count('released')]).toEqual([4, 2]);
  });

  it('come again, to be replayed, when the consumer was gone before it could acknowledge', async () => {
    const storage = memoryStorage();
    const gate = new Gate();
    let runs = 0;
    const handle = async () => {
      runs += 1;
      await gate.pass();
    };
    const first = await consume([eventConsumer(handle)], storage, 1_000);
    await publish({ id: 'm1' });
    await gate.reached();
    const closing = first.close();
    const second = await consume([eventConsumer(handle)], storage, 1_000);
    gate.open();
    await closing;

    await eventually(() => expect(second.count('replayed')).toBe(1));
    await eventually(async () =>
      expect((await manager.consumers.info('ORDERS', 'stock')).num_ack_pending).toBe(0),
    );
    expect(runs).toBe(1);
  });
});
