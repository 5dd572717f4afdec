import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { IdempotencyService } from 'nestjs-idempotent';
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { Order } from '../../apps/orders/src/orders/order.entity.js';
import { OrdersService } from '../../apps/orders/src/orders/orders.service.js';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient } from '../support/orders-client.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';

const ITEMS = [{ sku: 'A-123', quantity: 2, unitPrice: 1999 }];
const body = { items: ITEMS };

let postgres: PostgresServer;
let redis: RedisServer;
beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
}, 30_000);
afterAll(() => Promise.all([postgres.stop(), redis.stop()]));

describe.each([
  ['express', 'typeorm'],
  ['fastify', 'typeorm'],
  ['express', 'redis'],
  ['fastify', 'redis'],
  ['express', 'memory'],
  ['fastify', 'memory'],
] as const)('retries on %s, records in %s', (platform, storage) => {
  let orders: OrdersApp;
  beforeAll(async () => {
    const { url: databaseUrl } = await postgres.createDatabase(`retries_${platform}_${storage}`);
    orders = await startOrdersApp({ platform, storage, databaseUrl, redisUrl: redis.url });
  }, 30_000);
  afterAll(() => orders.close());

  const newCustomer = () => new OrdersClient(orders.url);

  it('get the first answer, marked as replayed, and make no second order', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    const first = await ada.post('/orders', { key, body });
    const second = await ada.post('/orders', { key, body });
    expect(first).toMatchObject({ status: 201, replayed: false });
    expect(second).toMatchObject({ status: 201, replayed: true, body: first.body });
    for (const name of ['location', 'etag', 'content-type']) {
      expect(second.headers.get(name)).toBe(first.headers.get(name));
    }
    // The header has whole seconds, and what it is counted from may lie on either side of one.
    const [expires, expiresStill] = [first, second].map(({ headers }) =>
      Date.parse(headers.get('idempotency-expires') ?? ''),
    );
    expect(Math.abs(expiresStill! - expires!)).toBeLessThanOrEqual(1_000);
    expect((await ada.get('/orders')).body).toHaveLength(1);
  });

  it('at the same moment make one order', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 8 }, () => ada.post('/orders', { key, body })));
    expect(answers.filter(({ status, replayed }) => status === 201 && !replayed)).toHaveLength(1);
    expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true);
    expect((await ada.get('/orders')).body).toHaveLength(1);
  });

  it('need a key to be known, so a POST without one is refused', async () => {
    expect(await newCustomer().post('/orders', { key: null, body })).toMatchObject({
      status: 400,
      body: { code: 'key-missing' },
    });
  });

  it('with another order are refused', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    await ada.post('/orders', { key, body });
    const other = await ada.post('/orders', { key, body: { ...body, note: 'another' } });
    expect(other).toMatchObject({ status: 422, body: { code: 'key-reused' } });
  });

  it('may correct a request that was refused before anything happened', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    expect((await ada.post('/orders', { key, body: { items: [] } })).status).toBe(400);
    expect(await ada.post('/orders', { key, body })).toMatchObject({ status: 201, replayed: false });
  });

  it('of a PUT, PATCH or DELETE with a key get the answer that they missed, not the next problem', async () => {
    const ada = newCustomer();
    const path = `/orders/${randomUUID()}`;
    for (const [method, asking, status] of [
      ['put', { body }, 201],
      ['put', { body, ifMatch: '"1"' }, 200],
      ['patch', { body: { note: 'n' }, ifMatch: '"2"' }, 200],
      ['delete', {}, 204],
    ] as const) {
      const key = randomUUID();
      const first = await ada[method](path, { key, ...asking });
      const second = await ada[method](path, { key, ...asking });
      expect(first).toMatchObject({ status, replayed: false });
      expect(second).toMatchObject({ status, replayed: true, body: first.body });
    }
  });

  it('of a change that was told 412 need a new key for a new version', async () => {
    const ada = newCustomer();
    const path = `/orders/${(await ada.order()).id}`;
    const key = randomUUID();
    const change = { key, body: { note: 'n' } };
    expect((await ada.patch(path, { ...change, ifMatch: '"9"' })).status).toBe(412);
    expect(await ada.patch(path, { ...change, ifMatch: '"9"' })).toMatchObject({
      status: 412,
      replayed: true,
    });
    expect(await ada.patch(path, { ...change, ifMatch: '"1"' })).toMatchObject({
      status: 422,
      body: { code: 'key-reused' },
    });
  });

  it('are told apart by the storage that /health names', async () => {
    expect(await newCustomer().get('/health', { user: null })).toMatchObject({
      status: 200,
      body: { status: 'ok', platform, database: { status: 'ok' }, storage: { status: 'ok', name: storage } },
    });
  });
});

describe('the second line of defence', () => {
  let orders: OrdersApp;
  beforeAll(async () => {
    const { url: databaseUrl } = await postgres.createDatabase('second_line');
    orders = await startOrdersApp({ platform: 'express', databaseUrl });
  }, 30_000);
  afterAll(() => orders.close());

  const forget = (ada: OrdersClient, key: string): Promise<boolean> => {
    const records = orders.app.get(IdempotencyService);
    return records.forget(records.recordId({ operation: 'POST /orders', scope: ada.user, key }));
  };

  it('answers with the existing order when the record of the key is lost', async () => {
    const ada = new OrdersClient(orders.url);
    const key = randomUUID();
    const first = await ada.post('/orders', { key, body });
    expect(await forget(ada, key)).toBe(true);
    const second = await ada.post('/orders', { key, body });
    expect(second).toMatchObject({ status: 201, replayed: false, body: first.body });
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect((await ada.get('/orders')).body).toHaveLength(1);
  });

  it('refuses another order under that key rather than to answer with the wrong one', async () => {
    const ada = new OrdersClient(orders.url);
    const key = randomUUID();
    await ada.post('/orders', { key, body });
    await forget(ada, key);
    const other = await ada.post('/orders', { key, body: { ...body, note: 'another' } });
    expect(other).toMatchObject({ status: 422, body: { code: 'key-reused' } });
  });

  it('holds without the library when requests race', async () => {
    const service = orders.app.get(OrdersService, { strict: false });
    const [user, key] = [randomUUID(), randomUUID()];
    const placed = await Promise.all(
      Array.from({ length: 12 }, () => service.place(user, { items: ITEMS }, key)),
    );
    expect(new Set(placed.map(({ id }) => id)).size).toBe(1);
    expect(await orders.app.get(DataSource).getRepository(Order).countBy({ userId: user })).toBe(1);
  });
});
