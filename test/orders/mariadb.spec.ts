import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { startMariaDb, type MariaDbServer } from '../support/mariadb-server.js';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient } from '../support/orders-client.js';
import { startPayments, type PaymentsService } from '../support/payments-service.js';

const ITEMS = [{ sku: 'A-123', quantity: 2, unitPrice: 1999 }];
const body = { items: ITEMS };

/** Not in UTC: times must come back as they went in, wherever the server thinks it stands. */
let server: MariaDbServer;
let payments: PaymentsService;
let apps: readonly OrdersApp[];
beforeAll(async () => {
  [server, payments] = await Promise.all([
    startMariaDb({ args: ['--default-time-zone=+05:30'] }),
    startPayments(),
  ]);
  const { port, database } = await server.createDatabase('orders');
  const at = (protocol: string) => `${protocol}://root@127.0.0.1:${port}/${database}`;
  const paymentsUrl = payments.url;
  // At the same moment: one of them makes the tables.
  apps = await Promise.all([
    startOrdersApp({ platform: 'express', databaseUrl: at('mysql'), paymentsUrl }),
    startOrdersApp({ platform: 'fastify', databaseUrl: at('mariadb'), paymentsUrl }),
  ]);
}, 60_000);
afterAll(async () => {
  await Promise.all(apps.map((app) => app.close()));
  await Promise.all([server.stop(), payments.stop()]);
}, 30_000);

const newCustomer = () => new OrdersClient(apps[0]!.url);

describe('the sample on MariaDB', () => {
  it('places an order once, and replays its answer at another instance', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    const first = await ada.post('/orders', { key, body });
    expect(first).toMatchObject({
      status: 201,
      replayed: false,
      body: { userId: ada.user, status: 'pending', items: ITEMS, total: 3998, version: 1 },
    });
    expect(Math.abs(Date.parse(first.body.createdAt as string) - Date.now())).toBeLessThan(60_000);
    expect(await ada.at(apps[1]!.url).post('/orders', { key, body })).toMatchObject({
      status: 201,
      replayed: true,
      body: first.body,
    });
    expect((await ada.get('/orders')).body).toEqual([first.body]);
  });

  it('places one order for many who send its key to two instances at the same moment', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, at) => ada.at(apps[at % 2]!.url).post('/orders', { key, body })),
    );
    expect(answers.filter(({ status, replayed }) => status === 201 && !replayed)).toHaveLength(1);
    expect((await ada.get('/orders')).body).toHaveLength(1);
  });

  it('has the second line of defence: one order per key, also when the records are lost', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    const first = await ada.post('/orders', { key, body });
    await apps[0]!.app.get(DataSource).query('delete from idempotency_records');
    expect(await ada.post('/orders', { key, body })).toMatchObject({ status: 201, body: first.body });
    expect(await ada.post('/orders', { key: key.toUpperCase(), body })).not.toMatchObject({
      body: first.body,
    });
  });

  it('tells users apart whose names differ in case or by an accent', async () => {
    const name = `ada-${randomUUID()}`;
    const [ada, other] = [
      new OrdersClient(apps[0]!.url, name),
      new OrdersClient(apps[0]!.url, name.replace('ada', 'Ada')),
    ];
    const order = await ada.order();
    expect((await other.get(`/orders/${order.id}`)).status).toBe(404);
    expect((await other.get('/orders')).body).toEqual([]);
  });

  it('changes, replaces and deletes by version', async () => {
    const ada = newCustomer();
    const path = `/orders/${randomUUID()}`;
    expect((await ada.put(path, { body: { ...body, note: 'Ring twice ☎ 🔔' } })).status).toBe(201);
    const patched = await ada.patch(path, { ifMatch: '"1"', body: { note: null } });
    expect([patched.status, patched.body.version, patched.body.note]).toEqual([200, 2, undefined]);
    expect((await ada.patch(path, { ifMatch: '"1"', body: { note: 'late' } })).status).toBe(412);
    expect((await ada.put(path, { ifMatch: '"2"', body })).body).toMatchObject({ version: 3, items: ITEMS });
    expect((await ada.put(path, { body })).status).toBe(428);
    expect((await ada.delete(path)).status).toBe(204);
    expect((await ada.get(path)).status).toBe(404);
  });

  it('lists the own orders, the youngest first', async () => {
    const ada = newCustomer();
    const ids: unknown[] = [];
    for (let count = 0; count < 3; count++) ids.unshift((await ada.order()).id);
    const listed = (await ada.get('/orders')).body as { id: string }[];
    expect(listed.map(({ id }) => id)).toEqual(ids);
  });

  it('takes a payment once, and shows one of each effect', async () => {
    const ada = newCustomer();
    const order = await ada.order();
    const key = randomUUID();
    const paying = { key, body: { amount: order.total, card: 'visa' } };
    const first = await ada.post(`/orders/${order.id}/payments`, paying);
    expect(first).toMatchObject({ status: 201, body: { status: 'paid' } });
    expect(await ada.at(apps[1]!.url).post(`/orders/${order.id}/payments`, paying)).toMatchObject({
      status: 201,
      replayed: true,
    });
    expect((await ada.post(`/orders/${order.id}/payments`, { body: paying.body })).body.code).toBe(
      'already-paid',
    );
    expect((await ada.get(`/orders/${order.id}/effects`)).body).toEqual({
      orders: 1,
      charges: 1,
      emails: 1,
      stockMoves: 1,
      runs: 3,
    });
  });

  it('hands out checkout tokens that every instance accepts', async () => {
    const ada = newCustomer();
    const { token } = (await ada.post('/checkout', { key: null })).body;
    expect((await ada.at(apps[1]!.url).post('/orders', { key: token, body })).status).toBe(201);
  });
});
