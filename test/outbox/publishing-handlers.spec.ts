import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Inject, Post, type Type } from '@nestjs/common';
import { Idempotent, IdempotentOp, type IdempotentOperation } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import {
  CreateOutbox1795478400000,
  Outbox,
  OutboxModule,
  OutboxRelay,
  outsideTransaction,
  type OutboxMessage,
} from 'nestjs-idempotent/typeorm';
import { send } from '../http/support/requests.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { useShop, type DatabaseName, type OpenShop } from '../transaction/support/shop.js';

const fixtures = { PostgreSQL: usePostgres(), MariaDB: useMariaDb() };
const databases: readonly DatabaseName[] = ['PostgreSQL', 'MariaDB'];

describe.each(databases)('a transactional handler that adds to the outbox on %s', (database) => {
  const shop = useShop(fixtures[database]);
  let published: OutboxMessage[];
  beforeAll(() => new CreateOutbox1795478400000().up(shop.outside.createQueryRunner()));
  beforeEach(async () => {
    published = [];
    await shop.outside.query('delete from outbox_messages');
  });

  type Handler = (outbox: Outbox, op: IdempotentOperation) => unknown;

  function ordering(handler: Handler, transactional: boolean): Type {
    @Controller()
    class Orders {
      @Inject(Outbox) private readonly outbox!: Outbox;
      @Post('orders')
      @Idempotent({ transactional })
      place(@IdempotentOp() op: IdempotentOperation) {
        return handler(this.outbox, op);
      }
    }
    return Orders;
  }

  /** An hour passes between two polls: what is published at once was woken by its commit. */
  async function open(handler: Handler, { transactional = true } = {}): Promise<OpenShop> {
    const { dataSource } = shop;
    const publish = (message: OutboxMessage) => published.push(message);
    const relay = { pollEvery: '1h' };
    return shop.open('express', {
      imports: [OutboxModule.forRoot({ dataSource, publish, relay, purgeEvery: false })],
      controllers: [ordering(handler, transactional)],
    });
  }

  const rows = async (): Promise<number> => {
    const [row] = await shop.outside.query<{ count: string }[]>(
      'select count(*) as count from outbox_messages',
    );
    return Number(row?.count);
  };

  const placed = { pattern: 'orders.placed', payload: { order: 1 }, aggregate: 'order:1' };

  it('has its message sent right after its commit, with the correlation id of the request', async () => {
    let atHome = -1;
    const app = await open(async (outbox, op) => {
      await shop.effects.insert({ what: 'order', attempt: op.attempt });
      const id = await outbox.add(placed);
      // Nobody else sees it before the commit.
      atHome = await outsideTransaction(rows);
      return { id };
    });
    const answer = await send(app, '/orders', { key: 'k', headers: { 'x-request-id': 'request-7' } });
    await eventually(() => expect(published).toHaveLength(1), 2000);
    expect(atHome).toBe(0);
    expect(published[0]).toEqual({
      ...placed,
      id: answer.json?.id,
      correlationId: 'request-7',
      headers: {},
      addedAt: expect.any(Date),
      attempt: 1,
    });
    expect(await shop.committed()).toEqual(['order 1']);
    expect(await app.record()).toBe('completed');

    const replay = await send(app, '/orders', { key: 'k' });
    expect(replay.json).toEqual(answer.json);
    expect(await rows()).toBe(1);
  });

  it('that throws has sent nothing; its retry sends it once', async () => {
    const app = await open(async (outbox, op) => {
      await outbox.add(placed);
      if (op.attempt === 1) throw new Error('not yet');
      return 'done';
    });
    expect((await send(app, '/orders', { key: 'k' })).status).toBe(500);
    expect(await rows()).toBe(0);
    await app.app.get(OutboxRelay).runOnce();
    expect(published).toEqual([]);

    expect((await send(app, '/orders', { key: 'k' })).status).toBe(201);
    await eventually(() => expect(published).toHaveLength(1), 2000);
    expect(await rows()).toBe(1);
  });

  it('takes a message as it is when it is added', async () => {
    const app = await open(async (outbox) => {
      const payload = { lines: ['one'] };
      const adding = outbox.add([{ ...placed, payload }, placed]);
      payload.lines.push('two');
      return adding;
    });
    const answer = await send(app, '/orders', { key: 'k' });
    await eventually(() => expect(published).toHaveLength(2), 2000);
    expect(published.map(({ id }) => id)).toEqual(answer.json);
    expect(published[0]?.payload).toEqual({ lines: ['one'] });
  });

  it('is told the truth of a message that it does not wait for, and of one that comes too late', async () => {
    const told: unknown[] = [];
    const over = new Gate();
    const app = await open(async (outbox) => {
      const add = (id: string) =>
        outbox.add({ ...placed, id }).then(
          () => told.push(id),
          ({ code }: { code?: string }) => told.push(code),
        );
      void add('sent before the end');
      void over.pass().then(() => add('too late'));
      await new Promise((passed) => setImmediate(passed));
    });
    await send(app, '/orders', { key: 'k' });
    over.open();
    await eventually(() => expect(told).toEqual(['sent before the end', 'transaction-ended']));
    await eventually(() => expect(published).toHaveLength(1), 2000);
    expect(await rows()).toBe(1);
  });

  it('keeps nothing of a nested transaction that is rolled back', async () => {
    const app = await open(async (outbox) => {
      const nested = shop.dataSource.transaction(async () => {
        await outbox.add({ ...placed, payload: 'undone' });
        throw new Error('not this');
      });
      await nested.catch(() => undefined);
      await outbox.add({ ...placed, payload: 'kept' });
    });
    await send(app, '/orders', { key: 'k' });
    await eventually(() => expect(published).toHaveLength(1), 2000);
    expect(published[0]?.payload).toBe('kept');
    expect(await rows()).toBe(1);
  });

  it('is told that there is no transaction where it has none', async () => {
    const errors: unknown[] = [];
    const refused = async (outbox: Outbox) => {
      await outbox.add(placed).catch((error: unknown) => errors.push(error));
      return 'done';
    };
    const without = await open(refused, { transactional: false });
    await send(without, '/orders', { key: 'k1' });
    const outside = await open((outbox) => outsideTransaction(() => refused(outbox)));
    await send(outside, '/orders', { key: 'k2' });
    await refused(without.app.get(Outbox));

    const noTransaction = {
      code: 'no-transaction',
      message: expect.stringContaining('`outbox.add()` was called in no open transaction'),
    };
    expect(errors).toMatchObject([noTransaction, noTransaction, noTransaction]);
    expect(await rows()).toBe(0);
  });
});
