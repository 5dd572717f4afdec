import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient, type Answer } from '../support/orders-client.js';
import { startPayments, type PaymentsService } from '../support/payments-service.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';

const line = (sku: string, quantity: number) => ({ sku, quantity, unitPrice: 100 });

let server: PostgresServer;
let payments: PaymentsService;
let orders: OrdersApp;
beforeAll(async () => {
  [server, payments] = await Promise.all([startPostgres(), startPayments()]);
  const { url: databaseUrl } = await server.createDatabase('effects');
  orders = await startOrdersApp({ platform: 'express', databaseUrl, paymentsUrl: payments.url });
}, 30_000);
afterAll(async () => {
  await orders.close();
  await Promise.all([server.stop(), payments.stop()]);
});

const newCustomer = () => new OrdersClient(orders.url);
const effectsOf = async (client: OrdersClient, { id }: Answer['body']) =>
  (await client.get(`/orders/${id}/effects`)).body;
const inDatabase = (sql: string, values: unknown[]): Promise<unknown> =>
  orders.app.get(DataSource).query(sql, values);

describe('the effects of an order', () => {
  it('are one order, one run, one e-mail, and one move of stock per article', async () => {
    const ada = newCustomer();
    const order = await ada.order([line('A', 2), line('B', 1), line('A', 3)]);
    expect(await effectsOf(ada, order)).toEqual({ orders: 1, charges: 0, emails: 1, stockMoves: 2, runs: 1 });
    expect(
      await inDatabase('select sku, quantity from stock_moves where order_id = $1 order by sku', [order.id]),
    ).toEqual([
      { sku: 'A', quantity: -5 },
      { sku: 'B', quantity: -1 },
    ]);
  });

  it('are the same however often it was sent', async () => {
    const ada = newCustomer();
    const asking = { key: randomUUID(), body: { items: [line('A', 1)] } };
    await Promise.all(Array.from({ length: 5 }, () => ada.post('/orders', asking)));
    const { body } = await ada.post('/orders', asking);
    expect(await effectsOf(ada, body)).toMatchObject({ orders: 1, emails: 1, stockMoves: 1, runs: 1 });
  });

  it('show a run that was rolled back: the order is gone with what failed after it', async () => {
    const ada = newCustomer();
    const asking = { key: randomUUID(), body: { items: [line('A', 1)] } };
    orders.app.useLogger(false); // a long tale of a missing table
    await inDatabase('alter table operation_log rename to logged', []);
    expect((await ada.post('/orders', asking)).status).toBe(500);
    await inDatabase('alter table logged rename to operation_log', []);
    expect((await ada.get('/orders')).body).toEqual([]);
    const { status, body } = await ada.post('/orders', asking);
    expect(status).toBe(201);
    expect(await effectsOf(ada, body)).toMatchObject({ orders: 1, emails: 1, stockMoves: 1, runs: 2 });
  });

  it('are no more when the record of the key is lost: the retry finds the order, and tells of it no second time', async () => {
    const ada = newCustomer();
    const asking = { key: randomUUID(), body: { items: [line('A', 1)] } };
    const { body } = await ada.post('/orders', asking);
    await effectsOf(ada, body); // nothing is on its way any more
    await inDatabase('delete from idempotency_records', []);
    expect((await ada.post('/orders', asking)).body).toEqual(body);
    expect(await effectsOf(ada, body)).toMatchObject({ orders: 1, emails: 1, stockMoves: 1, runs: 2 });
  });

  it('of an order that was made by PUT are its own', async () => {
    const ada = newCustomer();
    await ada.order();
    const id = randomUUID();
    await ada.put(`/orders/${id}`, { body: { items: [line('A', 1)] } });
    expect(await effectsOf(ada, { id })).toMatchObject({
      orders: 1,
      charges: 0,
      emails: 0,
      stockMoves: 0,
      runs: 0,
    });
  });

  it('are for the owner alone', async () => {
    const { id } = await newCustomer().order();
    expect(await newCustomer().get(`/orders/${id}/effects`)).toMatchObject({
      status: 404,
      body: { code: 'order-not-found' },
    });
  });
});
