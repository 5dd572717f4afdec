import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Gate } from 'nestjs-idempotent/testing';
import { OutboxMessageRefusedError } from 'nestjs-idempotent/typeorm';
import { openOutboxTable } from '../../libs/idempotency/src/typeorm/outbox/open-outbox-table.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { ids, placed, startOutbox, useOutboxDatabase } from './support/outbox-app.js';

const postgres = usePostgres();

describe('relays on PostgreSQL', () => {
  const database = useOutboxDatabase(postgres);

  it('let an aggregate whose message fails wait, and no other; then it goes on in its order', async () => {
    let isDown = true;
    const app = await startOutbox(database.dataSource, {
      relay: { pollEvery: '1h' },
      retry: { delay: '50ms', maxDelay: '50ms' },
      publish: ({ aggregate }) => {
        if (aggregate === 'a' && isDown) throw new Error('no route');
      },
    });
    const [a1, b1, a2, b2] = await app.add(placed('a'), placed('b'), placed('a'), placed('b'));
    await eventually(() => expect(app.relay.counters().get('failed')).toBeGreaterThan(2));
    expect(new Set(ids(app.published))).toEqual(new Set([a1, b1, b2]));
    expect(await app.outbox.undelivered('a')).toBe(2);

    isDown = false;
    await eventually(async () => expect(await app.outbox.undelivered('a')).toBe(0));
    const ofA = app.published.filter(({ aggregate }) => aggregate === 'a');
    expect(ids(ofA).slice(-2)).toEqual([a1, a2]);
    expect(ofA.map(({ attempt }) => attempt).slice(0, 3)).toEqual([1, 2, 3]);
  });

  it('hold an aggregate back behind a dead letter until somebody decides', async () => {
    let isKnown = false;
    const app = await startOutbox(database.dataSource, {
      relay: { pollEvery: '1h' },
      publish: ({ aggregate, payload }) => {
        const { id } = payload as { id: string };
        if (aggregate === 'a' && id.startsWith('bad') && !isKnown)
          throw new OutboxMessageRefusedError('nobody knows it');
      },
    });
    await app.add(placed('a', 'bad-1'), placed('a', 'after-1'), placed('b', 'other'));
    await eventually(() => expect(app.events.map(({ type }) => type)).toContain('dead'));
    await eventually(async () =>
      expect(await app.outbox.counts()).toMatchObject({ waiting: 1, heldBack: 1, dead: 1 }),
    );
    expect(await app.outbox.deadLetters()).toMatchObject([
      { id: 'bad-1', aggregate: 'a', attempts: 1, error: 'nobody knows it', heldBack: 1 },
    ]);
    expect(await app.outbox.redeliver('after-1')).toBe(false);
    expect(await app.outbox.discard('nobody')).toBe(false);

    isKnown = true;
    expect(await app.outbox.redeliver('bad-1')).toBe(true);
    await eventually(async () => expect(await app.outbox.undelivered('a')).toBe(0));
    expect(ids(app.published.filter(({ aggregate }) => aggregate === 'a'))).toEqual([
      'bad-1',
      'bad-1',
      'after-1',
    ]);

    isKnown = false;
    await app.add(placed('a', 'bad-2'), placed('a', 'after-2'));
    await eventually(async () => expect(await app.outbox.deadLetters()).toHaveLength(1));
    expect(await app.outbox.discard('bad-2')).toBe(true);
    await eventually(async () => expect(await app.outbox.undelivered('a')).toBe(0));
    expect(ids(app.published)).toContain('after-2');
    expect(ids(app.published).filter((id) => id === 'bad-2')).toHaveLength(1);
  });

  it('give up a message that hangs on each try, and go on with all others meanwhile', async () => {
    const app = await startOutbox(database.dataSource, {
      relay: { pollEvery: '1h', publishTimeout: '100ms', lease: '1s' },
      retry: { attempts: 2, delay: '10ms' },
      publish: ({ aggregate }) => (aggregate === 'a' ? new Promise(() => undefined) : undefined),
    });
    await app.add(placed('a', 'hangs'), ...Array.from({ length: 30 }, () => placed()));
    await eventually(async () => expect(await app.outbox.deadLetters()).toHaveLength(1));
    expect(await app.outbox.deadLetters()).toMatchObject([
      { id: 'hangs', attempts: 2, error: 'publishing did not end within 100ms' },
    ]);
    expect(await app.outbox.counts()).toMatchObject({ waiting: 0 });
    expect(app.relay.counters().get('delivered')).toBe(30);
  });

  it('that stop in the middle give the rest to another at once', async () => {
    const gate = new Gate();
    const relay = { pollEvery: '20ms', lease: '1h' } as const;
    const first = await startOutbox(database.dataSource, { relay, publish: () => gate.pass() });
    const added = await first.add(...Array.from({ length: 5 }, () => placed('a')));
    await gate.reached();
    const second = await startOutbox(database.dataSource, { relay });
    const stopped = first.relay.stop();
    gate.open();
    await stopped;
    await eventually(() => expect(second.published).toHaveLength(4));
    expect([...ids(first.published), ...ids(second.published)]).toEqual(added);
  });

  it('that are gone without a word leave what they had to others when its lease is over, under the same ids', async () => {
    const relay = { pollEvery: '50ms', lease: '600ms', publishTimeout: '300ms' } as const;
    const first = await startOutbox(database.dataSource, { relay: false, publish: () => undefined });
    const [one, two] = await first.add(placed('a'), placed('a'));
    // As a process does that dies right after its claim.
    const table = await openOutboxTable(database.dataSource, undefined);
    await table.claim({ owner: randomUUID(), limit: 10, perAggregate: 10, leaseMs: 600 });
    const second = await startOutbox(database.dataSource, { relay });
    await second.relay.runOnce();
    expect(second.published).toEqual([]);
    await eventually(() => expect(ids(second.published)).toEqual([one, two]));
  });
});
