import '../patterns/support/both-typeorms.js';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { useDatabases } from '../patterns/support/databases.js';
import { openBench, type OutboxBench } from './support/outbox-bench.js';
import { race } from './support/race.js';

/** What TypeORM 0.3 could do otherwise is in outbox-table.spec.ts. */
const databases = useDatabases().filter(({ name }) => /^(PostgreSQL|MariaDB) with TypeORM 1$/.test(name));

describe.each(databases)('the outbox on $name', (kind) => {
  let bench: OutboxBench;
  beforeAll(async () => {
    bench = await openBench(kind);
  });
  beforeEach(() => bench.dataSource.query('delete from outbox_messages'));

  it('hands out what was added, as it was added and in that order', async () => {
    const payload = JSON.stringify({ note: 'a\u0000b é 👍 \\ "', lines: [1, null] });
    const given = {
      aggregate: 'Örder:1',
      pattern: 'orders.placed',
      correlationId: 'c-é',
      headers: '{"h":"ü"}',
    };
    const ids = await bench.add({ ...given, payload }, undefined, 'order:2', 'Örder:1');
    const { messages } = await bench.claim();

    expect(messages.map(({ id }) => id)).toEqual(ids);
    expect(messages[0]).toMatchObject({
      ...given,
      payload: JSON.parse(payload),
      headers: { h: 'ü' },
      attempt: 1,
    });
    expect(messages[1]?.aggregate).toBeUndefined();
    expect(Math.abs(messages[0]!.addedAt.getTime() - Date.now())).toBeLessThan(60_000);
    expect((await bench.claim()).ids).toEqual([]);
  });

  it('keeps an aggregate in one hand, and takes no more of it than it may', async () => {
    const ids = await bench.add('a', 'a', 'a', 'b', undefined);
    const first = await bench.claim({ perAggregate: 2, limit: 3 });
    const second = await bench.claim();

    expect(first.ids).toEqual([ids[0], ids[1], ids[3]]);
    expect(second.ids).toEqual([ids[4]]);
    expect(await bench.table.delivered(first.owner, first.sequences)).toBe(3);
    expect((await bench.claim()).ids).toEqual([ids[2]]);
  });

  it('holds back what is behind a message that failed, and nothing else, until it is due again', async () => {
    const ids = await bench.add('a', 'a', 'a', 'b', undefined, undefined);
    const { owner, sequences } = await bench.claim({ limit: 2 });
    const failure = { kind: 'retry', inMs: 60_000, error: 'no broker 👍' } as const;
    expect(await bench.table.failed(owner, sequences[0]!, failure)).toBe(true);

    expect((await bench.claim()).ids).toEqual(ids.slice(3));
    expect(await bench.table.nextDueMs()).toBeGreaterThan(50_000);
    await bench.lapse();
    const again = await bench.claim({ perAggregate: 2 });
    expect(again.ids.slice(0, 2)).toEqual(ids.slice(0, 2));
    // The second one was claimed, and given back untried.
    expect(again.messages.slice(0, 2).map(({ attempt }) => attempt)).toEqual([2, 1]);
  });

  it('gives back the rest of an aggregate when one in the middle fails', async () => {
    const ids = await bench.add('a', 'a', 'a', 'b');
    const { owner, sequences } = await bench.claim();
    await bench.table.delivered(owner, [sequences[0]!]);
    await bench.table.failed(owner, sequences[1]!, { kind: 'retry', inMs: 0, error: 'no' });

    const next = await bench.claim();
    expect(next.ids).toEqual([ids[1], ids[2]]);
    expect(next.messages.map(({ attempt }) => attempt)).toEqual([2, 1]);
    expect(await bench.table.delivered(owner, sequences)).toBe(1);
  });

  it('holds back what is behind a dead letter until somebody decides', async () => {
    const ids = await bench.add('a', 'a', 'b', undefined);
    const { owner, sequences } = await bench.claim();
    await bench.table.failed(owner, sequences[0]!, { kind: 'dead', error: 'refused' });
    await bench.table.release(owner);
    await bench.lapse();

    const others = await bench.claim();
    expect(others.ids).toEqual(ids.slice(2));
    await bench.table.delivered(others.owner, others.sequences);
    expect(await bench.table.nextDueMs()).toBeUndefined();
    expect(await bench.table.counts()).toMatchObject({ waiting: 1, heldBack: 1, dead: 1 });
    expect(await bench.table.undelivered('a')).toBe(2);
    expect(await bench.table.deadLetters(10)).toMatchObject([
      { id: ids[0], aggregate: 'a', payload: { a: 1 }, attempts: 1, error: 'refused', heldBack: 1 },
    ]);

    expect(await bench.table.decide(ids[0]!, 'redeliver')).toBe(true);
    expect(await bench.table.decide(ids[0]!, 'discard')).toBe(false);
    expect(await bench.table.nextDueMs()).toBe(0);
    const again = await bench.claim({ perAggregate: 1 });
    expect(again.messages).toMatchObject([{ id: ids[0], attempt: 1 }]);
    await bench.table.failed(again.owner, again.sequences[0]!, { kind: 'dead', error: 'refused' });
    expect(await bench.table.decide(ids[0]!, 'discard')).toBe(true);
    expect((await bench.claim()).ids).toEqual([ids[1]]);
    expect(await bench.table.counts()).toMatchObject({ waiting: 1, heldBack: 0, dead: 0 });
  });

  it('hands an expired lease to the next, and refuses what the late owner says', async () => {
    const ids = await bench.add('a', 'a', undefined);
    const late = await bench.claim();
    await bench.lapse(late.owner);
    const next = await bench.claim();

    expect(next.ids).toEqual(ids);
    expect(next.messages.map(({ attempt }) => attempt)).toEqual([2, 2, 2]);
    expect(await bench.table.delivered(late.owner, late.sequences)).toBe(0);
    const failure = { kind: 'dead', error: 'late' } as const;
    expect(await bench.table.failed(late.owner, late.sequences[0]!, failure)).toBe(false);
    await bench.table.release(late.owner);
    expect((await bench.claim()).ids).toEqual([]);
    expect(await bench.table.delivered(next.owner, next.sequences)).toBe(3);
    expect(await bench.table.counts()).toEqual({ waiting: 0, heldBack: 0, dead: 0, oldestMs: 0 });
  });

  it('believes a late owner that nobody has taken over from', async () => {
    await bench.add('a');
    const late = await bench.claim();
    await bench.lapse(late.owner);
    expect(await bench.table.delivered(late.owner, late.sequences)).toBe(1);
    expect((await bench.claim()).ids).toEqual([]);
  });

  it('gives back at once what is released, as if it had never been claimed', async () => {
    const ids = await bench.add('a', 'a', undefined);
    const { owner, sequences } = await bench.claim();
    await bench.table.delivered(owner, [sequences[0]!]);
    await bench.table.release(owner);
    const { messages } = await bench.claim();
    expect(messages.map(({ id, attempt }) => [id, attempt])).toEqual([
      [ids[1], 1],
      [ids[2], 1],
    ]);
  });

  it('passes over rows that are locked, and over what is behind them', async () => {
    const ids = await bench.add('a', 'a', 'b', 'b', 'b', undefined, undefined);
    const lock = await bench.lock(ids[0]!, ids[3]!, ids[5]!);
    const claimed = await bench.claim();
    expect(claimed.ids).toEqual([ids[2], ids[6]]);
    await lock.end();
    await bench.table.delivered(claimed.owner, claimed.sequences);
    const rest = await bench.claim();
    expect(rest.ids).toEqual([ids[0], ids[1], ids[3], ids[4], ids[5]]);
    await bench.table.delivered(rest.owner, rest.sequences);

    const only = await bench.lock(...(await bench.add('a')));
    expect((await bench.claim()).ids).toEqual([]);
    await only.end();
    expect((await bench.claim()).ids).toHaveLength(1);
  });

  it('finds what may be sent behind thousands that may not', async () => {
    await bench.add('dead');
    const head = await bench.claim();
    await bench.table.failed(head.owner, head.sequences[0]!, { kind: 'dead', error: 'refused' });
    await bench.add(...Array.from({ length: 2000 }, () => 'dead'));
    const waiting = Array.from({ length: 60 }, (_, at) => `w${at}`);
    await bench.add(...waiting, ...waiting);
    const { owner, ids } = await bench.claim({ perAggregate: 1 });
    expect(ids).toHaveLength(60);
    const last = await bench.add('a', 'a', undefined);

    expect((await bench.claim({ limit: 3 })).ids).toEqual(last);
    expect((await bench.claim({ limit: 3 })).ids).toEqual([]);
    expect(await bench.table.nextDueMs()).toBeGreaterThan(30_000);
    expect(await bench.table.counts()).toMatchObject({ waiting: 2123, heldBack: 2000, dead: 1 });
    await bench.table.release(owner);
    expect((await bench.claim({ limit: 3 })).ids).toHaveLength(3);
  });

  it('compares aggregates byte by byte', async () => {
    const names = ['a', 'A', 'á', 'a ', 'ａ'];
    const ids = await bench.add(...names);
    const first = await bench.claim({ perAggregate: 1 });
    expect(first.ids).toEqual(ids);
    expect(first.messages.map(({ aggregate }) => aggregate)).toEqual(names);
    expect(await bench.table.undelivered('a')).toBe(1);
  });

  it('removes what was delivered long enough ago, a batch at a time, and nothing else', async () => {
    const ids = await bench.add(undefined, undefined, undefined, 'dead', 'waiting', undefined);
    const { owner, sequences } = await bench.claim();
    await bench.table.delivered(owner, [...sequences.slice(0, 3), sequences[5]!]);
    await bench.table.failed(owner, sequences[3]!, { kind: 'dead', error: 'refused' });

    expect(await bench.table.purge(3_600_000, 10)).toBe(0);
    const lock = await bench.lock(ids[5]!);
    expect(await bench.table.purge(0, 2)).toBe(2);
    expect(await bench.table.purge(0, 2)).toBe(1);
    expect(await bench.table.purge(0, 2)).toBe(0);
    await lock.end();
    expect(await bench.table.purge(0, 2)).toBe(1);
    expect(await bench.table.counts()).toMatchObject({ waiting: 1, dead: 1 });
  });

  it('says of a message that it cannot be read any more, and shows it as it is stored', async () => {
    const ids = await bench.add('a', 'a', 'b');
    await bench.dataSource.query(`update outbox_messages set payload = '{' where id = '${ids[0]}'`);
    const { owner, messages, sequences } = await bench.claim();
    expect(messages.map(({ unreadable }) => unreadable)).toEqual([
      expect.stringContaining('no JSON'),
      undefined,
      undefined,
    ]);
    await bench.table.failed(owner, sequences[0]!, { kind: 'dead', error: 'no JSON' });
    expect(await bench.table.deadLetters(10)).toMatchObject([{ id: ids[0], payload: '{', heldBack: 1 }]);
  });

  it('has nothing of what was added in a transaction that is rolled back', async () => {
    const [taken] = await bench.add('a');
    await expect(bench.add('b', { id: taken! })).rejects.toThrow(/duplicate/i);
    expect((await bench.claim()).ids).toEqual([taken]);
    expect(await bench.table.undelivered('b')).toBe(0);
  });

  it('tells when the next lease ends, and how old the oldest message is', async () => {
    expect(await bench.table.nextDueMs()).toBeUndefined();
    await bench.add('a', 'a', undefined);
    expect(await bench.table.nextDueMs()).toBe(0);
    await bench.claim({ leaseMs: 30_000 });
    const dueMs = await bench.table.nextDueMs();
    expect(dueMs).toBeGreaterThan(25_000);
    expect(dueMs).toBeLessThanOrEqual(30_000);
    const { oldestMs } = await bench.table.counts();
    expect(oldestMs).toBeLessThan(60_000);
  });
});

describe.each(databases)('side by side on $name', (kind) => {
  it('ten claimers deliver each message in the order of its aggregate, whatever fails', async () => {
    const bench = await openBench(kind, { poolSize: 16 });
    const ran = await race(bench, { claimers: 10, aggregates: 12, perAggregate: 10, loose: 40 });
    expect(ran.violations).toEqual([]);
    expect(ran.delivered).toBe(12 * 10 + 40);
    expect(await bench.table.counts()).toMatchObject({ waiting: 0, dead: 0 });
  });
});

it('waits for nobody where sessions of PostgreSQL are stricter than READ COMMITTED', async () => {
  const kind = databases.find(({ database }) => database === 'PostgreSQL');
  const bench = await openBench(kind!, {
    poolSize: 8,
    extra: { options: '-c default_transaction_isolation=serializable' },
  });
  expect(await bench.dataSource.query('show transaction_isolation')).toEqual([
    { transaction_isolation: 'serializable' },
  ]);
  const ran = await race(bench, { claimers: 6, aggregates: 6, perAggregate: 5, loose: 20 });
  expect(ran).toMatchObject({ violations: [], delivered: 50 });
});

it('keeps every character on MariaDB, whatever the character set of the session', async () => {
  const kind = databases.find(({ database }) => database === 'MariaDB');
  const bench = await openBench(kind!, { charset: 'latin1' });
  const payload = JSON.stringify('ş é 👍');
  await bench.add({ aggregate: 'ş👍', payload });
  const { owner, messages, sequences } = await bench.claim();
  expect(messages).toMatchObject([{ aggregate: 'ş👍', payload: 'ş é 👍' }]);
  expect(await bench.table.failed(owner, sequences[0]!, { kind: 'dead', error: 'né 👍' })).toBe(true);
  expect(await bench.table.undelivered('ş👍')).toBe(1);
});
