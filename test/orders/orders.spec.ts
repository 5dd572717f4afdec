import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient } from '../support/orders-client.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';
import type { OrderView } from '../../apps/orders/src/orders/dto/order.view.js';
import { LIMITS } from '../../apps/orders/src/orders/order-limits.js';

const ITEMS = [{ sku: 'A-123', quantity: 2, unitPrice: 1999 }];
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let server: PostgresServer;
beforeAll(async () => (server = await startPostgres()), 30_000);
afterAll(() => server.stop());

describe.each(['express', 'fastify'] as const)('orders on %s', (platform) => {
  let orders: OrdersApp;
  beforeAll(async () => {
    const { url: databaseUrl } = await server.createDatabase(`orders_${platform}`);
    orders = await startOrdersApp({ platform, databaseUrl });
  }, 30_000);
  afterAll(() => orders.close());

  const newCustomer = () => new OrdersClient(orders.url);

  describe('placing', () => {
    it('answers 201 with the order, where it is, and its version', async () => {
      const ada = newCustomer();
      const { status, headers, body } = await ada.post('/orders', { body: { items: ITEMS } });
      expect(status).toBe(201);
      expect(body).toEqual({
        id: expect.stringMatching(UUID),
        userId: ada.user,
        status: 'pending',
        items: ITEMS,
        total: 3998,
        version: 1,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      });
      expect(headers.get('location')).toBe(`/orders/${body.id}`);
      expect(headers.get('etag')).toBe('"1"');
      expect((await ada.get(`/orders/${body.id}`)).body).toEqual(body);
    });

    it('keeps a note, and drops what it does not know', async () => {
      const { body } = await newCustomer().post('/orders', {
        body: {
          items: [{ ...ITEMS[0], color: 'red' }],
          note: 'Ring twice ☎',
          status: 'paid',
          total: 1,
          userId: 'eve',
        },
      });
      expect(body).toMatchObject({ note: 'Ring twice ☎', status: 'pending', total: 3998, items: ITEMS });
      expect(body.userId).not.toBe('eve');
    });

    it('counts the largest order exactly', async () => {
      const line = { sku: 'X', quantity: LIMITS.quantity, unitPrice: LIMITS.unitPrice };
      const { total } = await newCustomer().order(Array.from({ length: LIMITS.lines }, () => line));
      expect(total).toBe(100_000_000_000_000);
    });

    it.each([
      ['no body', undefined, 'items'],
      ['an array as body', [], 'items'],
      ['no items', {}, 'items'],
      ['items that are null', { items: null }, 'items'],
      ['an empty list', { items: [] }, 'items'],
      ['too many lines', { items: Array.from({ length: LIMITS.lines + 1 }, () => ITEMS[0]) }, 'items'],
      ['a line that is null', { items: [null] }, 'items'],
      ['a line that is a list', { items: [ITEMS] }, 'items'],
      ['no sku', { items: [{ quantity: 1, unitPrice: 1 }] }, 'items.0.sku'],
      ['an sku with a space', { items: [{ sku: 'a b', quantity: 1, unitPrice: 1 }] }, 'items.0.sku'],
      ['quantity 0', { items: [{ sku: 'A', quantity: 0, unitPrice: 1 }] }, 'items.0.quantity'],
      ['half a piece', { items: [{ sku: 'A', quantity: 0.5, unitPrice: 1 }] }, 'items.0.quantity'],
      ['a quantity as text', { items: [{ sku: 'A', quantity: '1', unitPrice: 1 }] }, 'items.0.quantity'],
      ['a negative price', { items: [{ sku: 'A', quantity: 1, unitPrice: -1 }] }, 'items.0.unitPrice'],
      [
        'a price beyond all limits',
        { items: [{ sku: 'A', quantity: 1, unitPrice: 1e15 }] },
        'items.0.unitPrice',
      ],
      ['a note that is no text', { items: ITEMS, note: 5 }, 'note'],
      ['a note that is too long', { items: ITEMS, note: 'x'.repeat(LIMITS.noteLength + 1) }, 'note'],
      ['a note that PostgreSQL cannot store', { items: ITEMS, note: 'a\0b' }, 'note'],
    ])('refuses %s with 400 and names the field', async (_case, body, field) => {
      const answer = await newCustomer().post('/orders', { body });
      expect(answer.status).toBe(400);
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
      expect(answer.body).toMatchObject({ status: 400, code: 'invalid-request' });
      expect(answer.body.errors).toContainEqual(expect.stringContaining(field));
    });
  });

  describe('reading', () => {
    it('lists the own orders, the youngest first, a page at a time', async () => {
      const ada = newCustomer();
      const ids: unknown[] = [];
      for (let count = 0; count < 3; count++) ids.unshift((await ada.order()).id);
      await newCustomer().order();
      const idsOf = async (path: string) => ((await ada.get(path)).body as OrderView[]).map(({ id }) => id);
      expect(await idsOf('/orders')).toEqual(ids);
      expect(await idsOf('/orders?limit=2')).toEqual(ids.slice(0, 2));
      expect(await idsOf('/orders?limit=2&offset=2')).toEqual(ids.slice(2));
    });

    it.each(['limit=0', 'limit=501', 'limit=x', 'limit=1.5', 'limit=1&limit=2', 'offset=-1', 'offset=10001'])(
      'refuses the page %s with 400',
      async (query) => {
        expect((await newCustomer().get(`/orders?${query}`)).status).toBe(400);
      },
    );

    it('refuses an id that is no UUID with 400', async () => {
      expect(await newCustomer().get('/orders/7')).toMatchObject({
        status: 400,
        body: { code: 'invalid-request' },
      });
    });
  });

  describe('ownership', () => {
    it.each([null, '', 'two words', 'a, b', 'x'.repeat(129)])('answers 401 to the user %j', async (user) => {
      for (const answer of [
        await newCustomer().get('/orders', { user }),
        await newCustomer().post('/orders', { user, body: { items: ITEMS } }),
      ]) {
        expect(answer).toMatchObject({ status: 401, body: { status: 401, code: 'user-missing' } });
        expect(answer.headers.get('content-type')).toContain('application/problem+json');
      }
    });

    it("answers 404 to whatever somebody does with another user's order", async () => {
      const order = await newCustomer().order();
      const eve = newCustomer();
      const path = `/orders/${order.id}`;
      expect((await eve.get(path)).status).toBe(404);
      expect((await eve.put(path, { body: { items: ITEMS } })).status).toBe(404);
      expect((await eve.patch(path, { ifMatch: '"1"', body: { note: 'mine now' } })).status).toBe(404);
      expect((await eve.delete(path)).status).toBe(404);
      expect((await eve.get('/orders')).body).toEqual([]);
    });

    it('lets two users choose the same key', async () => {
      const [ada, bob] = [newCustomer(), newCustomer()];
      const first = await ada.post('/orders', { key: 'morning-order', body: { items: ITEMS } });
      const second = await bob.post('/orders', { key: 'morning-order', body: { items: ITEMS } });
      expect(second).toMatchObject({ status: 201, replayed: false });
      expect(second.body.id).not.toBe(first.body.id);
    });
  });
});
