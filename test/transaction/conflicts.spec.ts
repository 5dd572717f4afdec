import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { IdempotencyEvent } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { platforms } from '../http/support/apps.js';
import { expectProblem, expectReplayOf, retryAfter, send } from '../http/support/requests.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { usePostgres } from '../support/postgres-fixture.js';
import { transactional, useShop } from './support/shop.js';

const postgres = usePostgres();
const SECRET = 'card 4111-1111';

/** Every text that a logger could find on the way down from a value. */
function textsIn(value: unknown, seen = new Set<unknown>()): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (seen.has(value)) return '';
  seen.add(value);
  return Reflect.ownKeys(value)
    .map((key) => textsIn((value as Record<PropertyKey, unknown>)[key], seen))
    .join('\n');
}

describe.each(platforms)('when PostgreSQL refuses on %s', (platform) => {
  const shop = useShop(postgres);
  beforeAll(async () => {
    await shop.outside.query(`create table accounts (name text primary key, amount int not null)`);
    await shop.outside.query(
      `create table deferred (name text, constraint unique_name unique (name) deferrable initially deferred)`,
    );
  });
  beforeEach(async () => {
    await shop.outside.query('truncate accounts, deferred');
    await shop.outside.query(`insert into accounts values ('a', 100), ('b', 100)`);
  });

  it('the commit, for a constraint that is checked then: 503, nothing is recorded, no row is left, and no value is told', async () => {
    const lines: unknown[] = [];
    const [warn, error] = [Logger.prototype.warn, Logger.prototype.error];
    Logger.prototype.warn = Logger.prototype.error = (...said: unknown[]) => void lines.push(said);
    const pay = transactional('pay', async (op) => {
      await shop.effects.insert({ what: 'debit', attempt: op.attempt });
      await shop.dataSource.query('insert into deferred values ($1)', [SECRET]);
      if (op.attempt === 1) await shop.dataSource.query('insert into deferred values ($1)', [SECRET]);
      return { attempt: op.attempt };
    });
    try {
      const app = await shop.open(platform, { controllers: [pay] });
      const events: IdempotencyEvent[] = [];
      app.service.events$.subscribe((event) => events.push(event));

      const first = await send(app, '/pay', { key: 'k' });

      expectProblem(first, 503, 'commit-failed');
      expect(retryAfter(first)).toBe(1);
      expect(await shop.committed()).toEqual([]);
      expect(await app.record()).toBe('released');
      expect(app.events).toEqual(['claimed', 'commit-failed', 'released']);
      const told = textsIn([events, lines]);
      expect(told).toContain('23505');
      expect(told).toContain('unique_name');
      expect(told).not.toContain(SECRET);

      const second = await send(app, '/pay', { key: 'k' });
      expect(second.json).toEqual({ attempt: 2 });
      expect(await shop.committed()).toEqual(['debit 2']);
      expectReplayOf(second, await send(app, '/pay', { key: 'k' }));
    } finally {
      Object.assign(Logger.prototype, { warn, error });
    }
  });

  it('one of two requests that contradict each other: 503 with Retry-After, and its retry succeeds', async () => {
    const gate = new Gate();
    // Each may take from one account as long as both together hold enough.
    const pay = (from: string) =>
      transactional(
        `pay-${from}`,
        async (op) => {
          const { manager } = op;
          const [row] = await manager.query<[{ sum: string }]>('select sum(amount) from accounts');
          if (op.attempt === 1) await gate.pass();
          await manager.query(`update accounts set amount = amount - 150 where name = $1`, [from]);
          await shop.effects.insert({ what: `${from} of ${row.sum}`, attempt: op.attempt });
          return { attempt: op.attempt };
        },
        { transactional: { isolation: 'SERIALIZABLE' } },
      );
    const app = await shop.open(platform, { controllers: [pay('a'), pay('b')] });

    const both = Promise.all(['a', 'b'].map((from) => send(app, `/pay-${from}`, { key: from })));
    await gate.reached(2);
    gate.open();
    const answers = await both;

    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 503]);
    const loser = answers[0]?.status === 503 ? 'a' : 'b';
    const [refused] = answers.filter(({ status }) => status === 503);
    expectProblem(refused!, 503, 'commit-failed');
    expect(retryAfter(refused!)).toBe(1);
    const winner = loser === 'a' ? 'b' : 'a';
    expect(await shop.committed()).toEqual([`${winner} of 200 1`]);
    expect((await send(app, `/pay-${loser}`, { key: loser })).json).toEqual({ attempt: 2 });
    expect(await shop.committed()).toEqual([`${winner} of 200 1`, `${loser} of 50 2`]);
  });

  it('a statement whose error the handler catches, it is never recorded as done', async () => {
    const pay = transactional('pay', async (op) => {
      await shop.effects.insert({ what: 'debit', attempt: op.attempt });
      await shop.dataSource.query(`insert into accounts values ('a', 1)`).catch(() => undefined);
      return 'paid';
    });
    const app = await shop.open(platform, { controllers: [pay] });

    expectProblem(await send(app, '/pay', { key: 'k' }), 503, 'commit-failed');
    expect(await shop.committed()).toEqual([]);
    expect(await app.record()).toBe('released');
  });
});

describe('when MariaDB refuses', () => {
  const shop = useShop(useMariaDb());

  it('one of two requests that wait for each other: 503 with Retry-After, and its retry succeeds', async () => {
    await shop.outside.query(`create table accounts (name varchar(9) primary key, amount int not null)`);
    await shop.outside.query(`insert into accounts values ('a', 100), ('b', 100)`);
    const gate = new Gate();
    const pay = (from: string, to: string) =>
      transactional(`pay-${from}`, async (op) => {
        await shop.effects.insert({ what: from, attempt: op.attempt });
        const change = 'update accounts set amount = amount + ? where name = ?';
        await shop.dataSource.query(change, [-1, from]);
        if (op.attempt === 1) await gate.pass();
        await shop.dataSource.query(change, [1, to]);
        return { attempt: op.attempt };
      });
    const app = await shop.open('express', { controllers: [pay('a', 'b'), pay('b', 'a')] });

    const both = Promise.all(['a', 'b'].map((from) => send(app, `/pay-${from}`, { key: from })));
    await gate.reached(2);
    gate.open();
    const answers = await both;

    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 503]);
    const [loser, winner] = answers[0]?.status === 503 ? ['a', 'b'] : ['b', 'a'];
    const [refused] = answers.filter(({ status }) => status === 503);
    expectProblem(refused!, 503, 'commit-failed');
    expect(retryAfter(refused!)).toBe(1);
    expect(await shop.committed()).toEqual([`${winner} 1`]);
    expect((await send(app, `/pay-${loser}`, { key: loser })).json).toEqual({ attempt: 2 });
    expect(await shop.committed()).toEqual([`${winner} 1`, `${loser} 2`]);
    const sum = await shop.outside.query(`select sum(amount) as sum from accounts where amount = 100`);
    expect(Number(sum[0].sum)).toBe(200);
  });
});
