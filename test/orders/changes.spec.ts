import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient } from '../support/orders-client.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';

const ITEMS = [{ sku: 'A-123', quantity: 2, unitPrice: 1999 }];

let server: PostgresServer;
beforeAll(async () => (server = await startPostgres()), 30_000);
afterAll(() => server.stop());

describe.each(['express', 'fastify'] as const)('changing orders on %s', (platform) => {
  let orders: OrdersApp;
  beforeAll(async () => {
    const { url: databaseUrl } = await server.createDatabase(`changes_${platform}`);
    orders = await startOrdersApp({ platform, databaseUrl });
  }, 30_000);
  afterAll(() => orders.close());

  const newCustomer = () => new OrdersClient(orders.url);

  describe('putting', () => {
    it('creates an order under the id that the client made, then replaces it', async () => {
      const ada = newCustomer();
      const path = `/orders/${randomUUID()}`;
      const created = await ada.put(path, { body: { items: ITEMS, note: 'first' } });
      expect(created).toMatchObject({ status: 201, body: { version: 1, note: 'first', total: 3998 } });
      expect(created.headers.get('location')).toBe(path);
      const changed = [{ sku: 'B-9', quantity: 1, unitPrice: 5 }];
      const replaced = await ada.put(path, {
        ifMatch: created.headers.get('etag')!,
        body: { items: changed },
      });
      expect(replaced).toMatchObject({ status: 200, body: { version: 2, total: 5, items: changed } });
      expect(replaced.body).not.toHaveProperty('note');
      expect(replaced.headers.get('etag')).toBe('"2"');
      expect(replaced.body.createdAt).toBe(created.body.createdAt);
      expect((await ada.get(path)).body).toEqual(replaced.body);
    });

    it('takes back what it gave out', async () => {
      const ada = newCustomer();
      const order = await ada.order();
      const answer = await ada.put(`/orders/${order.id}`, { body: order });
      expect(answer).toMatchObject({ status: 200, body: { ...order, version: 2 } });
    });

    it('means the same order in upper case', async () => {
      const ada = newCustomer();
      const id = randomUUID();
      await ada.put(`/orders/${id.toUpperCase()}`, { body: { items: ITEMS } });
      expect((await ada.get(`/orders/${id}`)).body.id).toBe(id);
    });

    it('creates once when two requests race, and asks the other for a version', async () => {
      const ada = newCustomer();
      const path = `/orders/${randomUUID()}`;
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => ada.put(path, { body: { items: ITEMS } })),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 428, 428, 428, 428, 428]);
    });

    it('does not bring a deleted order back', async () => {
      const ada = newCustomer();
      const { id } = await ada.order();
      await ada.delete(`/orders/${id}`);
      const answer = await ada.put(`/orders/${id}`, { ifMatch: '"1"', body: { items: ITEMS } });
      expect(answer).toMatchObject({ status: 412, body: { code: 'version-conflict' } });
      expect((await ada.get(`/orders/${id}`)).status).toBe(404);
    });
  });

  describe.each(['put', 'patch'] as const)('the version in a %s', (method) => {
    const body = method === 'put' ? { items: ITEMS } : { note: 'changed' };

    it('is required once the order exists: 428', async () => {
      const ada = newCustomer();
      const { id } = await ada.order();
      const answer = await ada[method](`/orders/${id}`, { body });
      expect(answer).toMatchObject({ status: 428, body: { status: 428, code: 'version-missing' } });
    });

    it('may stand in the header or in the body', async () => {
      const ada = newCustomer();
      const path = `/orders/${(await ada.order()).id}`;
      expect(await ada[method](path, { ifMatch: '"1"', body })).toMatchObject({
        status: 200,
        body: { version: 2 },
      });
      expect(await ada[method](path, { body: { ...body, version: 2 } })).toMatchObject({
        status: 200,
        body: { version: 3 },
      });
      expect(await ada[method](path, { ifMatch: '*', body })).toMatchObject({
        status: 200,
        body: { version: 4 },
      });
    });

    it('gets 412 when it is old, and nothing changes', async () => {
      const ada = newCustomer();
      const path = `/orders/${(await ada.order()).id}`;
      await ada.patch(path, { ifMatch: '"1"', body: { note: 'newer' } });
      for (const asking of [
        { ifMatch: '"1"', body },
        { body: { ...body, version: 1 } },
        { ifMatch: 'W/"2"', body },
      ]) {
        expect(await ada[method](path, asking)).toMatchObject({
          status: 412,
          body: { code: 'version-conflict' },
        });
      }
      expect((await ada.get(path)).body).toMatchObject({ version: 2, note: 'newer' });
    });

    it.each([0, -1, 1.5, '1', null, 3e9])('gets 400 when it is %j', async (version) => {
      const ada = newCustomer();
      const { id } = await ada.order();
      expect((await ada[method](`/orders/${id}`, { body: { ...body, version } })).status).toBe(400);
    });

    it('lets one of many writers through', async () => {
      const ada = newCustomer();
      const path = `/orders/${(await ada.order()).id}`;
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => ada[method](path, { ifMatch: '"1"', body })),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412, 412, 412, 412, 412]);
      expect((await ada.get(path)).body.version).toBe(2);
    });
  });

  describe('patching', () => {
    it('sets what is sent and leaves the rest', async () => {
      const ada = newCustomer();
      const order = await ada.order();
      const path = `/orders/${order.id}`;
      const noted = await ada.patch(path, { ifMatch: '"1"', body: { note: 'Ring twice' } });
      expect(noted).toMatchObject({ status: 200, body: { ...order, note: 'Ring twice', version: 2 } });
      const items = [{ sku: 'B-9', quantity: 3, unitPrice: 7 }];
      const changed = await ada.patch(path, { ifMatch: '"2"', body: { items } });
      expect(changed.body).toMatchObject({ items, total: 21, note: 'Ring twice' });
      const cleared = await ada.patch(path, { ifMatch: '"3"', body: { note: null } });
      expect(cleared.body).not.toHaveProperty('note');
    });

    it('cancels, and a cancelled order does not change any more', async () => {
      const ada = newCustomer();
      const path = `/orders/${(await ada.order()).id}`;
      const cancelled = await ada.patch(path, { ifMatch: '"1"', body: { status: 'cancelled' } });
      expect(cancelled).toMatchObject({ status: 200, body: { status: 'cancelled', version: 2 } });
      const late = await ada.patch(path, { ifMatch: '"2"', body: { note: 'too late' } });
      expect(late).toMatchObject({ status: 409, body: { code: 'order-closed' } });
    });

    it.each([{}, { total: 1 }, { items: [] }, { items: null }, { status: 'paid' }, { status: null }])(
      'refuses %j with 400',
      async (body) => {
        const ada = newCustomer();
        const { id } = await ada.order();
        expect((await ada.patch(`/orders/${id}`, { ifMatch: '"1"', body })).status).toBe(400);
      },
    );
  });

  describe('deleting', () => {
    it('answers 204, then 404', async () => {
      const ada = newCustomer();
      const path = `/orders/${(await ada.order()).id}`;
      expect(await ada.delete(path)).toMatchObject({ status: 204, body: '' });
      expect((await ada.delete(path)).status).toBe(404);
      expect((await ada.get(path)).status).toBe(404);
    });

    it('minds a version when one is given', async () => {
      const ada = newCustomer();
      const path = `/orders/${(await ada.order()).id}`;
      await ada.patch(path, { ifMatch: '"1"', body: { note: 'newer' } });
      expect((await ada.delete(path, { ifMatch: '"1"' })).status).toBe(412);
      expect((await ada.delete(path, { ifMatch: '"2"' })).status).toBe(204);
    });
  });
});
