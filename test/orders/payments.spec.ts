import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient, type Answer } from '../support/orders-client.js';
import { startPayments, type PaymentsService } from '../support/payments-service.js';
import { eventually } from '../support/postgres-fixture.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';

const TOTAL = 3998; // of the order that `OrdersClient.order` places

let postgres: PostgresServer;
let payments: PaymentsService;
beforeAll(async () => {
  [postgres, payments] = await Promise.all([startPostgres(), startPayments()]);
}, 30_000);
afterAll(() => Promise.all([postgres.stop(), payments.stop()]));

/** Two instances, as behind a load balancer: one on each platform. */
let apps: readonly [OrdersApp, OrdersApp];
beforeAll(async () => {
  const { url: databaseUrl } = await postgres.createDatabase('payments');
  const on = (platform: 'express' | 'fastify') =>
    startOrdersApp({ platform, databaseUrl, paymentsUrl: payments.url });
  apps = [await on('express'), await on('fastify')];
}, 30_000);
afterAll(() => Promise.all(apps.map((app) => app.close())));

let ada: OrdersClient;
let order: Answer['body'];
beforeEach(async () => {
  ada = new OrdersClient(apps[0].url);
  order = await ada.order();
});

const pay = (asking: { key?: string; amount?: unknown; card?: unknown } = {}, client = ada) => {
  const { key = randomUUID(), amount = TOTAL, card = 'visa' } = asking;
  return client.post(`/orders/${order.id}/payments`, { key, body: { amount, card } });
};
const effects = async () => (await ada.get(`/orders/${order.id}/effects`)).body;
const chargesOfAll = () => payments.charges(order.id as string);
/** Until the payment service has the request: the order has been looked at by then. */
const charging = () => eventually(async () => expect(await payments.running()).toBe(1));
const statusOfOrder = async () => (await ada.get(`/orders/${order.id}`)).body.status;

describe('paying', () => {
  it('charges the card, marks the order as paid, and answers 201', async () => {
    const answer = await pay();
    const [charge] = await chargesOfAll();
    expect(answer).toMatchObject({
      status: 201,
      body: { orderId: order.id, amount: TOTAL, status: 'paid', chargeId: charge?.id },
    });
    expect(charge).toMatchObject({ amount: TOTAL, status: 'succeeded' });
    expect((await ada.get(`/orders/${order.id}`)).body).toMatchObject({ status: 'paid', version: 2 });
    expect(await effects()).toEqual({ orders: 1, charges: 1, emails: 1, stockMoves: 1, runs: 2 });
  });

  it('again with the same key gets the same answer and charges nothing', async () => {
    const key = randomUUID();
    const first = await pay({ key });
    expect(await pay({ key }, ada.at(apps[1].url))).toMatchObject({
      status: 201,
      replayed: true,
      body: first.body,
    });
    expect(await effects()).toMatchObject({ charges: 1, runs: 2 });
  });

  it('again with another key is refused as already paid', async () => {
    await pay();
    expect(await pay()).toMatchObject({ status: 409, body: { code: 'already-paid' } });
    expect(await effects()).toMatchObject({ charges: 1 });
  });

  it('by a double click that reaches two instances charges once', async () => {
    const key = randomUUID();
    await payments.holdCharge();
    const clicks = Array.from({ length: 10 }, (_, click) => pay({ key }, ada.at(apps[click % 2]!.url)));
    const refused = new Promise<void>((resolve) => {
      let left = clicks.length - 1;
      for (const click of clicks)
        void click.then(({ status }) => status === 409 && --left === 0 && resolve());
    });
    await refused;
    await payments.letGo();
    const answers = await Promise.all(clicks);
    expect(answers.filter(({ status, replayed }) => status === 201 && !replayed)).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body.code ?? body.status))).toEqual(
      new Set(['paid', 'key-in-progress']),
    );
    expect(await effects()).toMatchObject({ charges: 1, runs: 2 });
  });

  it('by two clicks that made two keys charges once: the second waits for the first', async () => {
    await payments.holdCharge();
    const clicks = [pay(), pay({}, ada.at(apps[1].url))];
    await eventually(async () => expect((await effects()).runs).toBe(3)); // with the one that placed the order
    await charging();
    await payments.letGo();
    const answers = await Promise.all(clicks);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
    expect(answers.find(({ status }) => status === 409)?.body.code).toBe('already-paid');
    expect(await effects()).toMatchObject({ charges: 1 });
  });
});

describe('before money moves', () => {
  it('the order has to be there', async () => {
    order = { id: randomUUID() };
    expect(await pay()).toMatchObject({ status: 404, body: { code: 'order-not-found' } });
    expect(await chargesOfAll()).toEqual([]);
  });

  it('the order has to be the caller’s', async () => {
    expect(await pay({}, new OrdersClient(apps[0].url))).toMatchObject({
      status: 404,
      body: { code: 'order-not-found' },
    });
    expect(await chargesOfAll()).toEqual([]);
  });

  it('the order has to be open', async () => {
    await ada.patch(`/orders/${order.id}`, { ifMatch: '"1"', body: { status: 'cancelled' } });
    expect(await pay()).toMatchObject({ status: 409, body: { code: 'order-closed' } });
    expect(await chargesOfAll()).toEqual([]);
  });

  it('the amount has to be what the order costs', async () => {
    expect(await pay({ amount: TOTAL + 1 })).toMatchObject({
      status: 422,
      body: { code: 'amount-mismatch' },
    });
    expect(await chargesOfAll()).toEqual([]);
  });

  it.each([{ amount: 'all' }, { amount: -1 }, { card: '' }, { card: 7 }])(
    'the request has to be one: %j',
    async (wrong) => {
      expect(await pay(wrong)).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
    },
  );

  it('there has to be a key', async () => {
    const body = { amount: TOTAL, card: 'visa' };
    expect(await ada.post(`/orders/${order.id}/payments`, { key: null, body })).toMatchObject({
      status: 400,
      body: { code: 'key-missing' },
    });
  });
});

describe('a card that is declined', () => {
  it('is refused with 402, also on a retry, and another card pays with a new key', async () => {
    const key = randomUUID();
    const first = await pay({ key, card: 'declined' });
    expect(first).toMatchObject({ status: 402, replayed: false, body: { code: 'card-declined' } });
    expect(first.headers.get('content-type')).toContain('application/problem+json');
    expect(await pay({ key, card: 'declined' })).toMatchObject({
      status: 402,
      replayed: true,
      body: first.body,
    });
    expect(await statusOfOrder()).toBe('pending');
    expect((await pay()).status).toBe(201);
    expect(await effects()).toMatchObject({ charges: 1 });
  });
});

describe('a payment service that gives no answer', () => {
  it('is told as 503 with Retry-After, and nothing is kept: the retry asks it again', async () => {
    const key = randomUUID();
    for (const _try of [1, 2]) {
      const answer = await pay({ key, card: 'down' });
      expect(answer).toMatchObject({ status: 503, replayed: false, body: { code: 'payments-unreachable' } });
      expect(answer.headers.get('retry-after')).toBe('1');
    }
    expect(await statusOfOrder()).toBe('pending');
    expect((await pay()).status).toBe(201);
  });

  it('and had charged has charged once after the retry with the same key', async () => {
    const key = randomUUID();
    await payments.breakAt({ point: 'after-write', kind: 'break' });
    expect((await pay({ key })).status).toBe(503);
    expect(await chargesOfAll()).toHaveLength(1);
    expect(await pay({ key })).toMatchObject({ status: 201, replayed: false });
    expect(await chargesOfAll()).toHaveLength(1);
    expect(await effects()).toMatchObject({ charges: 1, runs: 3 });
  });

  it('answers 502 when it fails, and the retry with the same key charges once', async () => {
    const key = randomUUID();
    await payments.breakAt({ point: 'before-write', kind: 'fail' });
    expect(await pay({ key })).toMatchObject({ status: 502, body: { code: 'payments-failed' } });
    expect((await pay({ key })).status).toBe(201);
    expect(await effects()).toMatchObject({ charges: 1 });
  });

  it('since it was killed after the charge was written is started again, and the retry charges once', async () => {
    const key = randomUUID();
    await payments.breakAt({ point: 'after-write', kind: 'die' });
    expect((await pay({ key })).status).toBe(503);
    await payments.hasDied();
    expect(await pay({ key })).toMatchObject({ status: 503, body: { code: 'payments-unreachable' } });
    expect((await ada.get('/health')).body.payments.status).toBe('unavailable');

    await payments.start();
    expect((await pay({ key })).status).toBe(201);
    expect(await chargesOfAll()).toHaveLength(1);
    expect((await ada.get('/health')).body.payments.status).toBe('ok');
  }, 30_000);
});

describe('an order that is cancelled while its card is being charged', () => {
  it('gives the money back: one charge, one refund, and the same 409 for every retry', async () => {
    const key = randomUUID();
    await payments.holdCharge();
    const paying = pay({ key });
    await charging();
    const cancelled = await ada.patch(`/orders/${order.id}`, {
      ifMatch: '"1"',
      body: { status: 'cancelled' },
    });
    expect(cancelled.status).toBe(200);
    await payments.letGo();

    const answer = await paying;
    expect(answer).toMatchObject({ status: 409, replayed: false, body: { code: 'order-closed' } });
    expect(await pay({ key })).toMatchObject({
      status: 409,
      replayed: true,
      body: answer.body,
    });
    expect(await chargesOfAll()).toEqual([expect.objectContaining({ status: 'refunded' })]);
    expect(await statusOfOrder()).toBe('cancelled');
    expect(await effects()).toMatchObject({ charges: 0 });
  });

  it('gives it back also when the payment service dies over the refund: the retry goes on with it', async () => {
    const key = randomUUID();
    await payments.holdCharge();
    const paying = pay({ key });
    await charging();
    await ada.patch(`/orders/${order.id}`, { ifMatch: '"1"', body: { note: 'Ring twice' } });
    await payments.breakAt({ point: 'after-write', kind: 'die', on: 'refund' }); // and lets the charge go
    expect(await paying).toMatchObject({ status: 503, body: { code: 'undo-failed' } });

    await payments.hasDied();
    await payments.start();
    expect(await pay({ key })).toMatchObject({ status: 409, body: { code: 'order-changed' } });
    expect(await chargesOfAll()).toEqual([expect.objectContaining({ status: 'refunded' })]);
  }, 30_000);
});
