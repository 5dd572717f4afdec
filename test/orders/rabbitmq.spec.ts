import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connect, type Channel } from 'amqplib';
import { rmSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { Client } from 'pg';
import { OrdersClient } from '../support/orders-client.js';
import { buildOrders, endAllOrders, spawnOrders, type OrdersProcess } from '../support/orders-process.js';
import { startPayments, type PaymentsService } from '../support/payments-service.js';
import { eventually } from '../support/postgres-fixture.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';
import { startRabbit, type RabbitServer } from '../support/rabbitmq-server.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { temporaryDataDir } from '../support/temporary-data-dir.js';

const QUEUE = 'orders';
/** Class and method of AMQP 0-9-1: what Nest waits for, and what it does not. */
const QUEUE_DECLARE = '\0\x32\0\x0a';
const BASIC_CONSUME = '\0\x3c\0\x14';
/** A port at which no broker is. */
const NOBODY = 1;
const NOTHING = { emails: 0, stockMoves: 0 };
const BOTH_ONCE = { emails: 1, stockMoves: 1 };

let rabbit: RabbitServer;
let postgres: PostgresServer;
let payments: PaymentsService;
let databaseUrl: string;
const dataDir = temporaryDataDir();
beforeAll(async () => {
  const starting = Promise.all([startRabbit(), startPostgres()]);
  buildOrders();
  [rabbit, postgres] = await starting;
  payments = await startPayments(); // only asked by /effects
}, 240_000);
let tests = 0;
beforeEach(async () => {
  databaseUrl = (await postgres.createDatabase(`orders_${(tests += 1)}`)).url;
});
/** What an app that is ended has not acknowledged comes back, and would be the next test's. */
afterEach(async () => {
  await endAllOrders();
  await eventually(async () => expect((await queue(QUEUE)).consumerCount).toBe(0), 20_000);
  await onTheBroker((channel) => channel.purgeQueue(QUEUE));
}, 30_000);
afterAll(async () => {
  await Promise.all([rabbit.stop(), postgres.stop(), payments.stop()]);
  rmSync(dataDir, { recursive: true, force: true });
}, 30_000);

const start = (env: Record<string, string> = {}): OrdersProcess =>
  spawnOrders({
    AMQP_URL: rabbit.url,
    DATABASE_URL: databaseUrl,
    PAYMENTS_URL: payments.url,
    DATA_DIR: dataDir,
    LEASE: '2s', // what a killed app leaves has to be over before another one takes it
    ...env,
  });

async function placed(client: OrdersClient): Promise<string> {
  return ((await client.order()) as { id: string }).id;
}

async function effectsOf(client: OrdersClient, order: string): Promise<typeof BOTH_ONCE> {
  const { body } = await client.get(`/orders/${order}/effects`);
  const { emails, stockMoves } = body as typeof BOTH_ONCE;
  return { emails, stockMoves };
}

/** When both consumers are through; what is there twice by then stays so. */
async function settled(client: OrdersClient, order: string): Promise<void> {
  await eventually(async () => {
    const effects = Object.values(await effectsOf(client, order));
    expect(effects).not.toContain(0);
  }, 20_000);
  expect(await effectsOf(client, order)).toEqual(BOTH_ONCE);
}

async function onTheBroker<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
  const connection = await connect(rabbit.url);
  try {
    return await work(await connection.createChannel());
  } finally {
    await connection.close();
  }
}

const queue = (name: string) => onTheBroker((channel) => channel.checkQueue(name));

/** As if the relay had been killed before it could note that the message is with the broker. */
async function publishedAgain(order: string): Promise<void> {
  const database = new Client(databaseUrl);
  await database.connect();
  const { rows } = await database.query<{
    pattern: string;
    id: string;
    correlation_id: string;
    payload: string;
  }>('select * from outbox_messages where aggregate = $1', [`order:${order}`]);
  await database.end();
  const messages = rows.map(({ pattern, id, correlation_id: correlationId, payload }) => ({
    pattern,
    data: { id, correlationId, data: JSON.parse(payload) as unknown },
  }));
  expect(messages).toHaveLength(1);
  await onTheBroker(async (channel) => {
    for (const message of messages) channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(message)));
    await channel.close(); // and so they are sent
  });
}

describe('the sample over RabbitMQ', () => {
  it('moves the stock and sends the mail once each, also for a message that the broker delivers again', async () => {
    const app = start();
    const ada = new OrdersClient(await app.ready());
    expect(app.said()).toMatch(/over RabbitMQ at amqp:\/\/guest:…@127\.0\.0\.1:\d+, queue orders/);
    const id = await placed(ada);
    await settled(ada, id);
    await publishedAgain(id);
    await settled(ada, await placed(ada)); // its message is behind the other in the queue
    expect(await effectsOf(ada, id)).toEqual(BOTH_ONCE);
    app.kill('SIGTERM');
    expect(await app.ended).toBe(0);
    expect((await queue(QUEUE)).messageCount).toBe(0); // nothing is left of it, not even unacknowledged
  }, 60_000);

  it('puts aside what no consumer will ever understand, and goes on', async () => {
    const app = start();
    const ada = new OrdersClient(await app.ready());
    const nonsense = ['', 'null', 'no JSON', '{"pattern":"nobody.knows","data":{}}'];
    const empty = { id: 'no order', correlationId: 'c', data: {} };
    const refused = [...nonsense, JSON.stringify({ pattern: 'orders.placed', data: empty })];
    await onTheBroker(async (channel) => {
      for (const text of [...refused, ...refused]) channel.sendToQueue(QUEUE, Buffer.from(text)); // more than are in hand at a time
      await channel.close();
    });
    await settled(ada, await placed(ada));
    await eventually(async () =>
      expect((await queue('orders.refused')).messageCount).toBe(2 * refused.length),
    );
    await onTheBroker((channel) => channel.purgeQueue('orders.refused'));
  }, 60_000);

  it('does the rest after a restart when it is killed in one consumer, and the next time in the other', async () => {
    const first = start({ CRASH_AT: 'StockRepository.takeFor:after' }); // nothing is committed
    const ada = new OrdersClient(await first.ready());
    const id = await placed(ada);
    expect(await first.ended).toBe('SIGKILL');
    const second = start({ CRASH_AT: 'Mailer.post:after' }); // the mail is out, and nobody has noted it
    expect(await second.ended).toBe('SIGKILL');
    await settled(ada.at(await start().ready()), id);
  }, 60_000);
});

describe('two apps on one queue', () => {
  it('share the messages, and what one was killed over the other does, once', async () => {
    const [doomed, other] = [start({ CRASH_AT: 'Mailer.post:after' }), start()] as const;
    const [, url] = await Promise.all([doomed.ready(), other.ready()]);
    // On a busy machine the connection comes after the start, as that of a broker that is late.
    await eventually(async () => expect((await queue(QUEUE)).consumerCount).toBe(2), 20_000);
    let isDead = false;
    void doomed.ended.then(() => (isDead = true));
    const ada = new OrdersClient(url);
    const orders: string[] = [];
    while (!isDead && orders.length < 100) orders.push(await placed(ada));
    expect(await doomed.ended).toBe('SIGKILL');
    for (const id of orders) await settled(ada, id);
  }, 60_000);
});

/** Resolves when the app, which connects again, has asked for something and has no answer yet. */
async function hasAskedFor(asked: string, app: OrdersProcess, way: TcpProxy): Promise<void> {
  const before = way.count(asked);
  for (const deadline = Date.now() + 10_000; way.count(asked) === before; await setImmediate())
    if (Date.now() > deadline) throw new Error(`The app has not connected again. It said:\n${app.said()}`);
}

const healthOf = async (client: OrdersClient) => (await client.get('/health', { user: null })).body;

describe('a broker that nobody reaches', () => {
  it('holds up no order: each gets its stock move and its mail when the broker is back', async () => {
    const way = await startTcpProxy(rabbit.port);
    try {
      const env = { AMQP_URL: rabbit.url.replace(String(rabbit.port), String(way.port)) };
      const early = start(env);
      const ada = new OrdersClient(await early.ready());
      for (const asked of [QUEUE_DECLARE, BASIC_CONSUME]) {
        way.pointTo(rabbit.port); // every connection ends, and the app begins anew
        await hasAskedFor(asked, early, way);
        way.pointTo(NOBODY);
      }
      const late = start(env);
      const bob = new OrdersClient(await late.ready());
      expect(late.said()).toContain('no connection yet');
      const [hers, his] = await Promise.all([placed(ada), placed(bob)]);
      const effects = await Promise.all([effectsOf(ada, hers), effectsOf(bob, his)]);
      expect(effects).toEqual([NOTHING, NOTHING]);
      expect(await healthOf(bob)).toMatchObject({
        status: 'ok',
        messages: {
          status: 'unavailable',
          name: 'rabbitmq',
          reason: expect.stringContaining('no connection'),
        },
        outbox: { status: 'ok', waiting: 2, dead: 0 },
      });
      way.pointTo(rabbit.port);
      await Promise.all([settled(ada, hers), settled(bob, his)]);
      expect(await healthOf(bob)).toMatchObject({ messages: { status: 'ok' }, outbox: { waiting: 0 } });
    } finally {
      await endAllOrders();
      await way.close();
    }
    expect((await queue('orders.refused')).messageCount).toBe(0);
  }, 60_000);
});

describe('a queue of the same name that is somebody else’s', () => {
  afterAll(() => onTheBroker((channel) => channel.deleteQueue(QUEUE)));

  it('ends the start with a sentence that says so', async () => {
    await onTheBroker(async (channel) => {
      await channel.deleteQueue(QUEUE);
      await channel.assertQueue(QUEUE, { durable: true });
    });
    const app = start();
    expect(await app.ended).toBe(1);
    expect(app.said()).toMatch(
      /^Cannot start: RabbitMQ does not let us have our queues: .*'orders'.*Remove the queue/m,
    );
    expect(app.said()).not.toMatch(/^ +at /m);
  }, 60_000);
});
