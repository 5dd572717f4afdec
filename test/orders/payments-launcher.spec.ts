import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { hasEnded, isAlive } from '../../apps/shared/src/processes/processes.js';
import { endPayments, paymentsOf } from '../support/embedded-payments.js';
import { OrdersClient, type Answer } from '../support/orders-client.js';
import { buildOrders, endAllOrders, spawnOrders, type OrdersProcess } from '../support/orders-process.js';
import { eventually } from '../support/postgres-fixture.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';
import { fillDiskOf } from '../support/payments-service.js';
import { temporaryDataDir } from '../support/temporary-data-dir.js';

let postgres: PostgresServer;
let databaseUrl: string;
beforeAll(async () => {
  buildOrders();
  postgres = await startPostgres();
  databaseUrl = (await postgres.createDatabase('orders')).url;
}, 60_000);
afterAll(() => postgres.stop());

/** One for all: apps that are killed leave the payment service to those of the next test. */
const dataDir = temporaryDataDir();
afterEach(endAllOrders);
afterAll(async () => {
  await endPayments(dataDir);
  rmSync(dataDir, { recursive: true, force: true });
}, 30_000);

const start = (env: Record<string, string> = {}) =>
  spawnOrders({ DATA_DIR: dataDir, DATABASE_URL: databaseUrl, ...env });
const pidOfPayments = () => paymentsOf(dataDir)?.pid ?? 0;

async function stop(app: OrdersProcess): Promise<string> {
  app.kill('SIGTERM');
  expect(await app.ended).toBe(0);
  return app.said();
}

const pay = (client: OrdersClient, order: Answer['body'], key: string) =>
  client.post(`/orders/${order.id}/payments`, { key, body: { amount: order.total, card: 'visa' } });

describe('an app that is killed with -9 over a payment', () => {
  it.each([
    ['before it could note the charge', 'PaymentGateway.charge:after'],
    ['before it could mark the order as paid', 'PaymentsService.markPaid:before'],
  ])(
    '%s, and whose order is cancelled then: the retry gives the money back',
    async (_when, point) => {
      const first = start({ CRASH_AT: point, LEASE: '2s' });
      const ada = new OrdersClient(await first.ready());
      const order = await ada.order();
      const key = randomUUID();
      await expect(pay(ada, order, key)).rejects.toThrow('fetch failed');
      expect(await first.ended).toBe('SIGKILL');

      const again = ada.at(await start({ LEASE: '2s' }).ready());
      const effects = async () => (await again.get(`/orders/${order.id}/effects`)).body;
      expect((await effects()).charges).toBe(1);
      const path = `/orders/${order.id}`;
      expect((await again.patch(path, { ifMatch: '"1"', body: { status: 'cancelled' } })).status).toBe(200);

      const answer = await eventually(async () => {
        const { status, body } = await pay(again, order, key);
        expect(['key-in-progress', 'lock-held']).not.toContain(body.code); // until the lease is over
        return { status, code: body.code };
      }, 10_000);
      expect(answer).toEqual({ status: 409, code: 'order-closed' });
      expect((await effects()).charges).toBe(0);
      expect((await pay(again, order, key)).replayed).toBe(true);
    },
    60_000,
  );
});

describe('the payment service of npm start', () => {
  it('is shared by apps that start at the same moment, and the last one stops it', async () => {
    const apps = [start({ PLATFORM: 'express' }), start({ PLATFORM: 'fastify' })] as const;
    const [url] = await Promise.all(apps.map((app) => app.ready()));
    const services = apps.map((app) => /Payments: ready on (\S+, pid \d+)/.exec(app.said())?.[1]);
    expect(services[0]).toMatch(/^http:\/\/127\.0\.0\.1:(2\d|3[012])\d{3}, pid/);
    expect(services[1]).toBe(services[0]);
    const pid = pidOfPayments();

    expect(await stop(apps[1])).toContain('Payments left running');
    const ada = new OrdersClient(url!);
    expect((await pay(ada, await ada.order(), randomUUID())).status).toBe(201);
    expect(await stop(apps[0])).toContain('Payments stopped');
    expect(isAlive(pid)).toBe(false);
  }, 60_000);

  it('outlives an app that is killed with -9, and the next one finds it and its charges', async () => {
    const first = start();
    const ada = new OrdersClient(await first.ready());
    const order = await ada.order();
    const key = randomUUID();
    const paid = await pay(ada, order, key);
    expect(paid.status).toBe(201);
    const pid = pidOfPayments();
    first.kill('SIGKILL');
    await first.ended;
    expect(isAlive(pid)).toBe(true);

    const second = start();
    const again = ada.at(await second.ready());
    expect(pidOfPayments()).toBe(pid);
    expect(await pay(again, order, key)).toMatchObject({ status: 201, replayed: true, body: paid.body });
    expect((await again.get(`/orders/${order.id}/effects`)).body.charges).toBe(1);

    process.kill(pid, 'SIGSTOP'); // as good as dead, and it holds the ledger
    second.kill('SIGKILL');
    await second.ended;
    const third = ada.at(await start().ready());
    expect(isAlive(pid)).toBe(false);
    expect((await third.get(`/orders/${order.id}/effects`)).body.charges).toBe(1);
  }, 60_000);

  it('is started again when it is killed with -9 or cannot write, and the retry charges once', async () => {
    const app = start();
    const ada = new OrdersClient(await app.ready());
    const order = await ada.order();
    const pid = pidOfPayments();
    process.kill(pid, 'SIGKILL');
    await hasEnded(pid, 5_000);

    const key = randomUUID();
    expect(await pay(ada, order, key)).toMatchObject({ status: 503, body: { code: 'payments-unreachable' } });
    await eventually(async () => expect((await pay(ada, order, key)).status).toBe(201));
    expect((await ada.get(`/orders/${order.id}/effects`)).body.charges).toBe(1);

    // It lives and answers, and can write no charge any more.
    const another = await ada.order();
    for (let other = 0; other < 20; other++) {
      await fetch(`${paymentsOf(dataDir)?.url}/charges`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
        body: JSON.stringify({ amount: 1, card: 'visa', reference: 'another' }),
      });
    }
    truncateSync(join(dataDir, 'payments', 'payments.log')); // the limit is for its log as well, and only the ledger may reach it
    fillDiskOf(pidOfPayments(), join(dataDir, 'payments', 'ledger'));
    expect((await pay(ada, another, 'disk-full')).status).toBe(502);
    await eventually(async () => expect((await pay(ada, another, 'disk-full')).status).toBe(201));
    expect((await ada.get(`/orders/${another.id}/effects`)).body.charges).toBe(1);
    expect(await stop(app)).toContain('Payments stopped');
  }, 60_000);

  it('is not started where PAYMENTS_URL names another one', async () => {
    const app = start({ PAYMENTS_URL: 'http://127.0.0.1:1/' });
    await app.ready();
    expect(app.said()).toContain('Payments: yours, http://127.0.0.1:1');
    expect(paymentsOf(dataDir)).toBeUndefined();
  }, 30_000);
});
