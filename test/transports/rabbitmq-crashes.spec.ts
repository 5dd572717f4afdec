import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ConfirmChannel } from 'amqplib';
import { Gate } from 'nestjs-idempotent/testing';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import type { DataSource } from 'typeorm';
import { startChildApp, type ChildApp } from '../support/child-app.js';
import { usePostgres, eventually } from '../support/postgres-fixture.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { eventConsumer, type OnDelivery } from './support/order-consumer.js';
import { RabbitFixture, type RabbitApp, type TestQueue } from './support/rabbit-fixture.js';

const PLACED = 'orders.placed';
/** A process of its own compiles its sources first, when nobody has yet. */
const CHILD_WITHIN_MS = 90_000;
const TERMS = { transactional: true, lease: '1s', storageTimeout: '500ms' } as const;

describe('a consumer of RabbitMQ whose writes commit with its record on PostgreSQL', () => {
  const rabbit = new RabbitFixture();
  const postgres = usePostgres();
  let dataSource: DataSource;
  let queue: TestQueue;
  const children: ChildApp[] = [];

  beforeAll(async () => {
    dataSource = await postgres.migrated();
    await dataSource.query('create table effects (what text, attempt int)');
  });
  beforeEach(async () => {
    queue = await rabbit.newQueue();
    await dataSource.query('truncate effects, idempotency_records');
  });
  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.stop()));
  });

  const effects = (): Promise<{ what: string; attempt: number }[]> =>
    dataSource.query('select what, attempt from effects');

  const insert: OnDelivery = ({ data, op }) =>
    dataSource.query('insert into effects (what, attempt) values ($1, $2)', [data.id, op.attempt]);

  function consume(handle: OnDelivery, rmq: object = {}): Promise<RabbitApp> {
    return rabbit.start(queue, {
      // The name that a process of its own gives it.
      controllers: [eventConsumer(handle, TERMS)],
      options: { storage: typeOrmStorage({ dataSource, purgeEvery: false }) },
      rmq,
    });
  }

  /** A consumer that dies of the message which waits for it. */
  async function killed(crash: string): Promise<void> {
    const { type, host, port, username, password, database } = dataSource.options as never as Record<
      string,
      unknown
    >;
    const child = await startChildApp('test/transports/support/crashing-consumer.ts', {
      DATABASE: JSON.stringify({ type, host, port, username, password, database }),
      AMQP_URL: rabbit.server.url,
      QUEUE: queue.name,
      CRASH: crash,
    });
    children.push(child);
    await eventually(() => expect(child.process.signalCode).toBe('SIGKILL'), 30_000);
  }

  async function leftOf(app: RabbitApp): Promise<number> {
    await app.close();
    return (await rabbit.waiting(queue.name)) + (await rabbit.waiting(queue.deadLetters));
  }

  it(
    'that is killed in its handler has done nothing: the next one does it, as attempt 2, when the lease is over',
    async () => {
      await rabbit.publish(queue, PLACED, { id: 'm1' });
      await killed('in the handler');
      expect(await effects()).toEqual([]);
      const app = await consume(insert);

      await eventually(() => expect(app.count('completed')).toBe(1));
      expect(app.count('taken-over')).toBe(1);
      expect(await effects()).toEqual([{ what: 'm1', attempt: 2 }]);
      expect(await leftOf(app)).toBe(0);
    },
    CHILD_WITHIN_MS,
  );

  it(
    'that is killed between the commit and the acknowledgement has done it: the next one replays and acknowledges',
    async () => {
      await rabbit.publish(queue, PLACED, { id: 'm1' });
      await killed('before the acknowledgement');
      expect(await effects()).toEqual([{ what: 'm1', attempt: 1 }]);
      const app = await consume(insert);

      await eventually(() => expect(app.count('replayed')).toBe(1));
      expect(await effects()).toEqual([{ what: 'm1', attempt: 1 }]);
      expect(await leftOf(app)).toBe(0);
    },
    CHILD_WITHIN_MS,
  );

  it('that throws has done nothing: the message comes again, and is done once', async () => {
    const app = await consume(async (delivered) => {
      await insert(delivered);
      if (delivered.op.attempt < 3) throw new Error('not yet');
    });
    await rabbit.publish(queue, PLACED, { id: 'm1' });

    await eventually(() => expect(app.count('completed')).toBe(1));
    expect(await effects()).toEqual([{ what: 'm1', attempt: 3 }]);
    expect(await leftOf(app)).toBe(0);
  });

  it('whose commit fails gives the message back, and does it once', async () => {
    await dataSource.query(
      'create table once (what text, constraint once_what unique (what) deferrable initially deferred)',
    );
    await dataSource.query("insert into once values ('m1')");
    const app = await consume(async (delivered) => {
      await insert(delivered);
      // Refused by the commit, and not before.
      if (delivered.op.attempt === 1) await dataSource.query("insert into once values ('m1')");
    });
    await rabbit.publish(queue, PLACED, { id: 'm1' });

    await eventually(() => expect(app.count('completed')).toBe(1));
    expect(app.count('commit-failed')).toBe(1);
    expect(await effects()).toEqual([{ what: 'm1', attempt: 2 }]);
    expect(await leftOf(app)).toBe(0);
  });

  it('that loses its connection in its handler goes on: the message comes again, waits, and is acknowledged', async () => {
    const proxy = await startTcpProxy(rabbit.server.port);
    rabbit.later(() => proxy.close());
    const gate = new Gate();
    const channels: ConfirmChannel[] = [];
    const app = await consume(
      async (delivered) => {
        channels.push(delivered.channel);
        await gate.pass();
        await insert(delivered);
      },
      { urls: [`amqp://guest:guest@127.0.0.1:${proxy.port}`] },
    );
    await rabbit.publish(queue, PLACED, { id: 'm1' });
    await gate.reached();
    proxy.pointTo(rabbit.server.port);
    // Nobody has it: it was given back. Then the consumer is there again.
    await eventually(async () => expect((await rabbit.channel.checkQueue(queue.name)).consumerCount).toBe(0));
    await eventually(async () => expect((await rabbit.channel.checkQueue(queue.name)).consumerCount).toBe(1));
    gate.open();

    await eventually(() => expect(app.count('replayed')).toBe(1));
    expect([channels.length, await effects()]).toEqual([1, [{ what: 'm1', attempt: 1 }]]);
    expect(await leftOf(app)).toBe(0);
  });

  it('whose channel RabbitMQ closes in its handler goes on in the same way', async () => {
    const gate = new Gate();
    const app = await consume(async (delivered) => {
      const closed = new Promise((resolve) => delivered.channel.once('close', resolve));
      // No such delivery: the broker closes the channel, and takes back what is not acknowledged.
      delivered.channel.ack({
        ...delivered.message,
        fields: { ...delivered.message.fields, deliveryTag: 99 },
      });
      await closed;
      await gate.pass();
      await insert(delivered);
    });
    await rabbit.publish(queue, PLACED, { id: 'm1' });
    await gate.reached();
    gate.open();

    await eventually(() => expect(app.count('completed')).toBe(1));
    await eventually(() => expect(app.count('replayed')).toBe(1));
    expect(await effects()).toEqual([{ what: 'm1', attempt: 1 }]);
    expect(await leftOf(app)).toBe(0);
  });
});
