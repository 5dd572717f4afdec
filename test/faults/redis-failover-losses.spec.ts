import { afterEach, describe, expect, it } from '@jest/globals';
import { IdempotencyModule } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { redisStorage, type RedisStorageOptions } from 'nestjs-idempotent/redis';
import { expectProblem, send, type Received } from '../http/support/requests.js';
import { ordersController } from '../http/support/orders.controller.js';
import { startApp, type RunningApp } from '../support/apps.js';
import { ReplicatedAddress, type Replica } from './redis/replicated-address.js';

/** The operation under test: its runs are counted, and the next one can be held open. */
class Orders {
  runs = 0;
  gate: Gate | undefined;
  readonly controller = ordersController(async () => {
    this.runs += 1;
    const order = { run: this.runs };
    await this.gate?.pass();
    return order;
  });
}

const ending: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function startAddress(replicas: number): Promise<ReplicatedAddress> {
  const address = await ReplicatedAddress.start(replicas);
  ending.push(() => address.stop());
  return address;
}

async function startOrders(
  orders: Orders,
  url: string,
  options: Pick<RedisStorageOptions, 'waitReplicas'> = {},
): Promise<RunningApp> {
  const imports = [
    IdempotencyModule.forRoot({
      namespace: 'losses',
      storage: redisStorage({ url, ...options }),
      lease: '2s',
    }),
  ];
  const app = await startApp('express', { imports, controllers: [orders.controller] });
  ending.push(() => app.close());
  return app;
}

const place = (app: RunningApp) => send(app, '/orders', { key: 'k', body: { sku: 'A-123' } });

/** As a client does that wants its answer. The connection may be on its way to the new primary, a lease may have to end. */
async function placeUntilAnswered(app: RunningApp): Promise<Received> {
  for (const deadline = Date.now() + 15_000; ;) {
    const answer = await place(app);
    if (answer.status === 201) return answer;
    if (Date.now() > deadline) throw new Error(`There was no answer but ${answer.status} ${answer.text}`);
  }
}

const seen = ({ status, headers, json }: Received) => ({
  status,
  run: (json as { run?: number }).run,
  replayed: headers.get('idempotent-replayed'),
  said: headers.get('idempotency-status'),
});

describe('a failover to a replica that is behind, without `waitReplicas`', () => {
  it('loses a completed operation, which then runs again, and nothing tells', async () => {
    const address = await startAddress(1);
    const [replica] = address.replicas as [Replica];
    const orders = new Orders();
    const app = await startOrders(orders, address.url);
    replica.cutOff();
    expect(seen(await place(app))).toEqual({ status: 201, run: 1, replayed: null, said: null });
    await address.failOverTo(replica);
    expect(seen(await placeUntilAnswered(app))).toEqual({ status: 201, run: 2, replayed: null, said: null });
    expect(orders.runs).toBe(2);
  });

  it('loses the claim of a running handler: a retry runs beside it, and the first answer is marked as superseded', async () => {
    const address = await startAddress(1);
    const [replica] = address.replicas as [Replica];
    const orders = new Orders();
    const app = await startOrders(orders, address.url);
    const other = await startOrders(orders, address.url);
    replica.cutOff();
    const gate = (orders.gate = new Gate());
    const first = place(app);
    await gate.reached();
    orders.gate = undefined;
    await address.failOverTo(replica);
    expect(seen(await placeUntilAnswered(other))).toMatchObject({ run: 2, replayed: null, said: null });
    gate.open();
    expect(seen(await first)).toMatchObject({ status: 201, run: 1, said: 'superseded' });
    expect(seen(await place(other))).toMatchObject({ run: 2, replayed: 'true' });
  });

  it('loses the outcome alone when the claim was replicated: the operation runs again after its lease', async () => {
    const address = await startAddress(1);
    const [replica] = address.replicas as [Replica];
    const orders = new Orders();
    const app = await startOrders(orders, address.url);
    orders.gate = new Gate();
    const first = place(app);
    await orders.gate.reached();
    await replicated(replica);
    replica.cutOff();
    orders.gate.open();
    expect(seen(await first)).toMatchObject({ run: 1, said: null });
    await address.failOverTo(replica);
    expect(seen(await placeUntilAnswered(app))).toMatchObject({ run: 2, replayed: null, said: null });
  });
});

describe('a failover to a replica that is behind, with `waitReplicas` of as many as there are', () => {
  it('loses nothing: a claim that the replica has not got is refused, and its operation runs once, later', async () => {
    const address = await startAddress(1);
    const [replica] = address.replicas as [Replica];
    const orders = new Orders();
    const app = await startOrders(orders, address.url, { waitReplicas: 1 });
    replica.cutOff();
    expectProblem(await place(app), 503, 'storage-unavailable');
    expect(orders.runs).toBe(0);
    await address.failOverTo(replica);
    expect(seen(await placeUntilAnswered(app))).toMatchObject({ status: 201, run: 1, said: null });
    expect(seen(await place(app))).toMatchObject({ run: 1, replayed: 'true' });
    expect(orders.runs).toBe(1);
  });

  it('marks an answer as unrecorded that the replica has not got, and records it with the new primary', async () => {
    const address = await startAddress(1);
    const [replica] = address.replicas as [Replica];
    const orders = new Orders();
    const app = await startOrders(orders, address.url, { waitReplicas: 1 });
    const other = await startOrders(orders, address.url, { waitReplicas: 1 });
    orders.gate = new Gate();
    const first = place(app);
    await orders.gate.reached();
    replica.cutOff();
    orders.gate.open();
    expect(seen(await first)).toEqual({ status: 201, run: 1, replayed: null, said: 'unrecorded' });
    await address.failOverTo(replica);
    expect(seen(await placeUntilAnswered(other))).toEqual({
      status: 201,
      run: 1,
      replayed: 'true',
      said: null,
    });
    expect(orders.runs).toBe(1);
  });

  it('leaves a primary that was taken for dead unable to run anything beside its successor', async () => {
    const address = await startAddress(1);
    const [replica] = address.replicas as [Replica];
    const orders = new Orders();
    // One process still talks to the old primary, the other one has heard of the new one.
    const stale = await startOrders(orders, address.primary.url, { waitReplicas: 1 });
    await address.promote(replica);
    const app = await startOrders(orders, replica.node.url, { waitReplicas: 1 });
    expectProblem(await place(stale), 503, 'storage-unavailable');
    expect(seen(await place(app))).toMatchObject({ status: 201, run: 1, said: null });
    expect(orders.runs).toBe(1);
  });
});

describe('how far `waitReplicas` goes', () => {
  it('with fewer than there are, a failover to one that did not answer loses what the others have', async () => {
    const address = await startAddress(2);
    const [, behind] = address.replicas as [Replica, Replica];
    const orders = new Orders();
    const app = await startOrders(orders, address.url, { waitReplicas: 1 });
    behind.cutOff();
    expect(seen(await place(app))).toMatchObject({ status: 201, run: 1, said: null });
    await address.failOverTo(behind);
    expect(seen(await placeUntilAnswered(app))).toMatchObject({ run: 2, replayed: null, said: null });
  });

  it('with as many as there are, no operation runs while one of them is behind', async () => {
    const address = await startAddress(2);
    const [, behind] = address.replicas as [Replica, Replica];
    const orders = new Orders();
    const app = await startOrders(orders, address.url, { waitReplicas: 2 });
    behind.cutOff();
    expectProblem(await place(app), 503, 'storage-unavailable');
    behind.reconnect();
    expect(seen(await placeUntilAnswered(app))).toMatchObject({ run: 1, said: null });
    expect(orders.runs).toBe(1);
  });

  it('without it, a primary that was taken for dead runs the same operation beside its successor', async () => {
    const address = await startAddress(1);
    const [replica] = address.replicas as [Replica];
    const orders = new Orders();
    const stale = await startOrders(orders, address.primary.url);
    await address.promote(replica);
    const app = await startOrders(orders, replica.node.url);
    expect(seen(await place(stale))).toMatchObject({ status: 201, run: 1, said: null });
    expect(seen(await place(app))).toMatchObject({ status: 201, run: 2, said: null });
  });
});

/** The replica has a record. */
async function replicated({ node }: Replica): Promise<void> {
  while ((await node.command('DBSIZE')) !== 1);
}
