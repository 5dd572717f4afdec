import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Headers, HttpException, Logger, Post } from '@nestjs/common';
import { CommandBus, CqrsModule, EventBus } from '@nestjs/cqrs';
import { Idempotent, IdempotencyModule } from 'nestjs-idempotent';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { EntitySchema, type DataSource } from 'typeorm';
import { startApp, type RunningApp } from '../support/apps.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { ConfirmOrder, OrderPlaced, PlaceOrder, PlaceOrderHandler } from './recipes/place-order.js';
import { Mailer, Orders, type NewOrder } from './support/orders.js';

const OrderRow = new EntitySchema<{ id: number; sku: string }>({
  name: 'OrderRow',
  tableName: 'placed_orders',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    sku: { type: 'varchar', length: 50 },
  },
});

const postgres = usePostgres();
let dataSource: DataSource;
let running: RunningApp;
let mails: string[];
/** How often the route still fails after its command. */
let failures = 0;

@Controller('orders')
class OrdersController {
  constructor(private readonly commands: CommandBus) {}

  @Post()
  @Idempotent({ transactional: true })
  async place(@Headers('idempotency-key') key: string) {
    const order = await this.commands.execute(new PlaceOrder(key, { sku: 'A-1' }));
    if ((failures -= 1) >= 0) throw new HttpException('the route fails after its command', 500);
    return order;
  }
}

beforeAll(async () => {
  dataSource = await postgres.migrated({ entities: [OrderRow] });
  await dataSource.synchronize();
});
beforeEach(async () => {
  await dataSource.getRepository(OrderRow).clear();
  mails = [];
  failures = 0;
  const orders: Orders = {
    insert: async ({ sku }) => ({ id: (await dataSource.getRepository(OrderRow).save({ sku })).id }),
  };
  const mailer: Mailer = { send: (order) => Promise.resolve(void mails.push(`order ${order.id}`)) };
  const storage = typeOrmStorage({ dataSource, purgeEvery: false });
  running = await startApp('express', {
    imports: [CqrsModule.forRoot(), IdempotencyModule.forRoot({ storage, namespace: 'cqrs' })],
    controllers: [OrdersController],
    providers: [
      PlaceOrderHandler,
      ConfirmOrder,
      { provide: Orders, useValue: orders },
      { provide: Mailer, useValue: mailer },
    ],
  });
  Logger.overrideLogger(false);
});
afterEach(() => running.close());

const rows = () => dataSource.getRepository(OrderRow).count();
const execute = (id: string, order: NewOrder = { sku: 'A-1' }) =>
  running.app.get(CommandBus).execute(new PlaceOrder(id, order));

describe('a command of @nestjs/cqrs', () => {
  it('sent twice at once, and again later, is done once; all have its result, and its event has one effect', async () => {
    const id = 'c-1';
    const results = await Promise.all([execute(id), execute(id)]);
    results.push(await execute(id));

    const [order] = results;
    expect(results).toEqual([order, order, order]);
    expect(await rows()).toBe(1);
    await eventually(() => expect(mails).toEqual([`order ${order?.id}`]));
    running.app.get(EventBus).publish(new OrderPlaced('c-2', { id: 7 }));
    await eventually(() => expect(mails).toEqual([`order ${order?.id}`, 'order 7']));
  });

  it('with the id of another one is refused with 422', async () => {
    await execute('c-3');

    await expect(execute('c-3', { sku: 'B-2' })).rejects.toMatchObject({ code: 'key-reused' });
    expect(await rows()).toBe(1);
  });

  it('is done for good when the transactional route that sent it is rolled back, and once when it is tried again', async () => {
    failures = 1;
    const post = () =>
      fetch(`${running.url}/orders`, { method: 'POST', headers: { 'idempotency-key': 'o-1' } });

    expect((await post()).status).toBe(500);
    expect(await rows()).toBe(1);
    const again = await post();
    expect(again.status).toBe(201);
    expect(again.headers.get('idempotent-replayed')).toBeNull();
    expect(await rows()).toBe(1);
    await eventually(() => expect(mails).toHaveLength(1));
  });
});
