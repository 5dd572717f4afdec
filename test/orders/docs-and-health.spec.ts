import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeApi } from '../../apps/orders/src/startup/openapi.js';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient } from '../support/orders-client.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';

interface Operation {
  readonly parameters: readonly { name: string; in: string; required: boolean }[];
  readonly responses: Readonly<Record<string, { headers?: object; content?: object }>>;
}

let server: PostgresServer;
beforeAll(async () => (server = await startPostgres()), 30_000);
afterAll(() => server.stop());

describe.each(['express', 'fastify'] as const)('on %s', (platform) => {
  let orders: OrdersApp;
  let client: OrdersClient;
  beforeAll(async () => {
    const { url: databaseUrl } = await server.createDatabase(`docs_${platform}`);
    orders = await startOrdersApp({ platform, databaseUrl });
    client = new OrdersClient(orders.url);
  }, 30_000);
  afterAll(() => orders.close());

  const operations = () => describeApi(orders.app).paths as Record<string, Record<string, Operation>>;

  it('the docs name the key where it is needed, and where it is welcome', () => {
    const paths = operations();
    const keyOf = (path: string, method: string) =>
      paths[path]?.[method]?.parameters.find(({ name }) => name === 'Idempotency-Key');
    for (const path of ['/orders', '/orders/{id}/payments']) {
      expect(keyOf(path, 'post')).toMatchObject({ in: 'header', required: true });
    }
    expect(keyOf('/checkout', 'post')).toBeUndefined();
    for (const method of ['put', 'patch', 'delete']) {
      expect(keyOf('/orders/{id}', method)).toMatchObject({ in: 'header', required: false });
    }
    expect(keyOf('/orders', 'get')).toBeUndefined();
  });

  it('the docs name the user header on every route of orders', () => {
    const paths = operations();
    const all = Object.entries(paths).filter(([path]) => path.startsWith('/orders'));
    for (const { parameters } of all.flatMap(([, methods]) => Object.values(methods))) {
      expect(parameters).toContainEqual(
        expect.objectContaining({ name: 'x-user-id', in: 'header', required: true }),
      );
    }
    expect(paths['/health']?.['get']?.parameters).toEqual([]);
  });

  it('the docs name what a replay carries', () => {
    const paths = operations();
    for (const response of [
      paths['/orders']?.['post']?.responses['201'],
      paths['/orders/{id}/payments']?.['post']?.responses['201'],
      paths['/orders/{id}']?.['put']?.responses['200'],
      paths['/orders/{id}']?.['patch']?.responses['200'],
      paths['/orders/{id}']?.['delete']?.responses['204'],
    ]) {
      expect(response?.headers).toHaveProperty('Idempotent-Replayed');
    }
  });

  it('health is open to anybody', async () => {
    const { status, body } = await client.get('/health', { user: null });
    expect([status, body.status]).toEqual([200, 'ok']);
  });

  it('health answers 503, and says which part is missing, while the database stands still', async () => {
    server.pause();
    const { status, body } = await client.get('/health', { user: null }).finally(() => server.resume());
    expect(status).toBe(503);
    expect(body).toMatchObject({ status: 'unavailable', database: { status: 'unavailable' } });
  });
});
