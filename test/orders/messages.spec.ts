import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Outbox, OutboxRelay } from 'nestjs-idempotent/typeorm';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastValueFrom } from 'rxjs';
import { DataSource } from 'typeorm';
import { MESSAGE_TRANSPORT, type MessageTransport } from '../../apps/orders/src/messages/transport.js';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { OrdersClient, type Answer } from '../support/orders-client.js';
import { startPayments, type PaymentsService } from '../support/payments-service.js';
import { eventually } from '../support/postgres-fixture.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';

const items = [
  { sku: 'A-1', quantity: 2, unitPrice: 1999 },
  { sku: 'B-2', quantity: 1, unitPrice: 500 },
];

let server: PostgresServer;
let payments: PaymentsService;
beforeAll(async () => {
  [server, payments] = await Promise.all([startPostgres(), startPayments()]);
}, 30_000);
afterAll(() => Promise.all([server.stop(), payments.stop()]));

const effectsOf = async (client: OrdersClient, { id }: Answer['body']) =>
  (await client.get(`/orders/${id}/effects`)).body;

const mailsOf = ({ dataDir }: OrdersApp, order: Answer['body']): string[] =>
  readdirSync(join(dataDir, 'mail'))
    .filter((name) => name.startsWith(String(order.id)))
    .map((name) => readFileSync(join(dataDir, 'mail', name), 'utf8'));

describe.each([
  ['in the transaction of the handler', 'typeorm', true],
  ['in one of its own, with the records elsewhere', 'memory', false],
] as const)('an order that is placed %s', (_where, storage, transactional) => {
  let orders: OrdersApp;
  beforeAll(async () => {
    const { url: databaseUrl } = await server.createDatabase(`messages_${storage}_${transactional}`);
    const paymentsUrl = payments.url;
    orders = await startOrdersApp({
      platform: 'express',
      databaseUrl,
      paymentsUrl,
      storage,
      transactional,
    });
  }, 30_000);
  afterAll(() => orders.close());

  const newCustomer = () => new OrdersClient(orders.url);
  const query = (sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> =>
    orders.app.get(DataSource).query(sql, values);
  const messagesOf = ({ id }: Answer['body']) =>
    query('select * from outbox_messages where aggregate = $1', [`order:${id}`]);
  const logOf = ({ user }: OrdersClient) =>
    query('select command, command_id from operation_log where scope like $1 order by sequence', [
      `${user} %`,
    ]);

  it('moves the stock and sends one e-mail that says what was ordered, for whoever looks right after it', async () => {
    const ada = newCustomer();
    const { body: order } = await ada.post('/orders', { body: { items, note: 'Ring twice ☎\nor knock' } });
    expect(await effectsOf(ada, order)).toEqual({ orders: 1, charges: 0, emails: 1, stockMoves: 2, runs: 1 });
    const [mail = '', ...more] = mailsOf(orders, order);
    expect(more).toEqual([]);
    const lines = mail.split('\r\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        `To: "${ada.user}" <${ada.user}@customers.example>`,
        `Subject: Your order ${order.id}`,
        '  2 x A-1, 1999 each',
        '  1 x B-2, 500 each',
        'Total: 4498 (in minor units)',
        '  Ring twice ☎',
        '  or knock',
      ]),
    );
  });

  it('adds one message and one entry of the operation log, however often it is sent', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    await Promise.all(Array.from({ length: 5 }, () => ada.post('/orders', { key, body: { items } })));
    const { body: order } = await ada.post('/orders', { key, body: { items } });
    expect(await messagesOf(order)).toEqual([
      expect.objectContaining({ id: `orders.placed:${order.id}`, pattern: 'orders.placed' }),
    ]);
    expect(await logOf(ada)).toEqual([{ command: 'place-order', command_id: key }]);
    expect(await effectsOf(ada, order)).toMatchObject({ orders: 1, emails: 1, stockMoves: 2 });
  });

  it('that does not come about leaves no message', async () => {
    const ada = newCustomer();
    const asking = { key: randomUUID(), body: { items } };
    const before = await query('select count(*) from outbox_messages');
    orders.app.useLogger(false); // a long tale of a missing table
    await query('alter table operation_log rename to logged');
    expect((await ada.post('/orders', asking)).status).toBe(500);
    await query('alter table logged rename to operation_log');
    expect(await query('select count(*) from outbox_messages')).toEqual(before);
    const { body: order } = await ada.post('/orders', asking);
    expect(await messagesOf(order)).toHaveLength(1);
  });

  it('sends no second e-mail and moves no stock again when its message is delivered again', async () => {
    const ada = newCustomer();
    const order = await ada.order(items);
    await effectsOf(ada, order);
    const [message] = await messagesOf(order);
    const { client } = orders.app.get<MessageTransport>(MESSAGE_TRANSPORT);
    const { id, correlation_id: correlationId, payload } = message!;
    const again = { id, correlationId, data: JSON.parse(payload as string) };
    await Promise.all(
      [again, again].map((packet) =>
        lastValueFrom(client.emit('orders.placed', packet), { defaultValue: undefined }),
      ),
    );
    expect(await effectsOf(ada, order)).toMatchObject({ emails: 1, stockMoves: 2 });
  });

  it('may be paid under the key that it was placed with: the log knows both commands', async () => {
    const ada = newCustomer();
    const key = randomUUID();
    const { body: order } = await ada.post('/orders', { key, body: { items } });
    const paying = { key, body: { amount: order.total, card: 'visa' } };
    expect((await ada.post(`/orders/${order.id}/payments`, paying)).status).toBe(201);
    expect((await ada.post(`/orders/${order.id}/payments`, paying)).replayed).toBe(true);
    expect(await logOf(ada)).toEqual([
      { command: 'place-order', command_id: key },
      { command: 'pay-order', command_id: key },
    ]);
  });
});

describe('a message', () => {
  let orders: OrdersApp;
  let databaseUrl: string;
  const dataDir = mkdtempSync(join(tmpdir(), 'test-messages-'));
  const start = () =>
    startOrdersApp({ platform: 'fastify', databaseUrl, paymentsUrl: payments.url, dataDir });
  beforeAll(async () => {
    ({ url: databaseUrl } = await server.createDatabase('messages'));
    orders = await start();
    orders.app.useLogger(false); // consumers that fail are told to the log
  }, 30_000);
  afterAll(async () => {
    await orders.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const query = (sql: string): Promise<unknown> => orders.app.get(DataSource).query(sql);
  const health = async () => (await new OrdersClient(orders.url).get('/health', { user: null })).body;

  it('whose consumer fails is delivered again until it does not, and the other consumer does its work once', async () => {
    const ada = new OrdersClient(orders.url);
    await query('alter table stock_moves rename to moved');
    const order = await ada.order(items);
    await eventually(() => expect(mailsOf(orders, order)).toHaveLength(1));
    expect(await health()).toMatchObject({ outbox: { status: 'ok', waiting: 1, dead: 0 } });
    await query('alter table moved rename to stock_moves');
    await eventually(async () =>
      expect(await effectsOf(ada, order)).toMatchObject({ emails: 1, stockMoves: 2 }),
    );
    expect(await health()).toMatchObject({ outbox: { waiting: 0 } });
  });

  it('that is not what consumers understand is a dead letter at once, which health tells of', async () => {
    const dataSource = orders.app.get(DataSource);
    const outbox = orders.app.get(Outbox);
    const id = await dataSource.transaction((manager) =>
      outbox.add({ pattern: 'orders.placed', payload: { orderId: 'nobody knows' } }, { manager }),
    );
    await eventually(async () => expect(await health()).toMatchObject({ outbox: { dead: 1 } }));
    const [letter] = await outbox.deadLetters();
    expect(letter).toMatchObject({
      id,
      attempts: 1,
      error: expect.stringContaining('data.orderId must be a UUID'),
    });
    await outbox.discard(id);
    expect(await health()).toMatchObject({
      status: 'ok',
      messages: { status: 'ok', name: 'in-process' },
      outbox: { status: 'ok', dead: 0, waiting: 0, oldestMs: 0 },
    });
  });

  it('leads to its e-mail also when somebody has cleared the folder of the mails away', async () => {
    rmSync(join(dataDir, 'mail'), { recursive: true });
    const ada = new OrdersClient(orders.url);
    expect(await effectsOf(ada, await ada.order(items))).toMatchObject({ emails: 1, stockMoves: 2 });
  });

  it('that was committed and not sent any more is sent by the next app', async () => {
    await orders.app.get(OutboxRelay).stop();
    const ada = new OrdersClient(orders.url);
    const order = await ada.order(items);
    expect(mailsOf(orders, order)).toEqual([]);
    await orders.close();
    orders = await start();
    expect(await effectsOf(ada.at(orders.url), order)).toMatchObject({ emails: 1, stockMoves: 2 });
  });
});
