import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient } from '../support/orders-client.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';

const body = { items: [{ sku: 'A-123', quantity: 2, unitPrice: 1999 }] };

let server: PostgresServer;
let apps: readonly [OrdersApp, OrdersApp];
beforeAll(async () => {
  server = await startPostgres();
  const { url: databaseUrl } = await server.createDatabase('checkout');
  const first = await startOrdersApp({ platform: 'express', databaseUrl });
  apps = [first, await startOrdersApp({ platform: 'fastify', databaseUrl })];
}, 30_000);
afterAll(async () => {
  await Promise.all(apps.map((app) => app.close()));
  await server.stop();
});
const newCustomer = () => new OrdersClient(apps[0].url);

/** A client that cannot make keys: opens the checkout, and sends what it got with every click. */
async function openCheckout(client: OrdersClient): Promise<string> {
  const { status, headers, body: checkout } = await client.post('/checkout', { key: null });
  expect([status, headers.get('cache-control')]).toEqual([201, 'no-store']);
  return checkout.token;
}

describe('a checkout token', () => {
  it('is a key for one order, however often and at whichever instance "Place order" is clicked', async () => {
    const ada = newCustomer();
    const key = await openCheckout(ada);
    const first = await ada.post('/orders', { key, body });
    expect(first).toMatchObject({ status: 201, replayed: false });
    for (const { url } of apps) {
      expect(await ada.at(url).post('/orders', { key, body })).toMatchObject({
        status: 201,
        replayed: true,
        body: first.body,
      });
    }
    expect((await ada.get('/orders')).body).toEqual([first.body]);
  });

  it('is good for one order and no other', async () => {
    const ada = newCustomer();
    const key = await openCheckout(ada);
    await ada.post('/orders', { key, body });
    const other = await ada.post('/orders', { key, body: { ...body, note: 'another' } });
    expect(other).toMatchObject({ status: 422, body: { code: 'key-reused' } });
  });

  it('is another one for each checkout, so a second order can be the same as the first', async () => {
    const ada = newCustomer();
    for (const _time of [1, 2]) await ada.post('/orders', { key: await openCheckout(ada), body });
    expect((await ada.get('/orders')).body).toHaveLength(2);
  });

  it('is accepted by an instance that did not hand it out', async () => {
    const ada = newCustomer();
    const key = await openCheckout(ada);
    expect((await ada.at(apps[1].url).post('/orders', { key, body })).status).toBe(201);
  });

  it('is refused when another user sends it, and stays good for its own', async () => {
    const [ada, eve] = [newCustomer(), newCustomer()];
    const key = await openCheckout(ada);
    const stolen = await eve.post('/orders', { key, body });
    expect(stolen).toMatchObject({ status: 403, body: { code: 'checkout-token-refused' } });
    expect(stolen.headers.get('content-type')).toContain('application/problem+json');
    expect((await eve.get('/orders')).body).toEqual([]);
    expect((await ada.post('/orders', { key, body })).status).toBe(201);
  });

  it.each([
    ['another end', (token: string) => token.slice(0, -2) + (token.endsWith('AA') ? 'BA' : 'AA')],
    ['a later expiry', (token: string) => token.replace(/\d+/, (expires) => String(Number(expires) + 1))],
    ['no signature', (token: string) => token.split('.').slice(0, 3).join('.')],
    ['nothing but its beginning', () => 'checkout.'],
  ])('is refused with %s', async (_change, forge) => {
    const ada = newCustomer();
    const key = forge(await openCheckout(ada));
    expect(await ada.post('/orders', { key, body })).toMatchObject({
      status: 403,
      body: { code: 'checkout-token-refused' },
    });
  });

  it('is too old for a new order after an hour, and still gets the answer to the one it has placed', async () => {
    const ada = newCustomer();
    const [used, unused] = [await openCheckout(ada), await openCheckout(ada)];
    await ada.post('/orders', { key: used, body });
    const now = Date.now() + 60 * 60_000 + 1_000;
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now);
    try {
      expect(await ada.post('/orders', { key: unused, body })).toMatchObject({
        status: 403,
        body: { code: 'checkout-token-expired' },
      });
      expect(await ada.post('/orders', { key: used, body })).toMatchObject({ status: 201, replayed: true });
    } finally {
      clock.mockRestore();
    }
  });

  it('is handed out to somebody alone', async () => {
    expect((await newCustomer().post('/checkout', { key: null, user: null })).status).toBe(401);
  });
});
