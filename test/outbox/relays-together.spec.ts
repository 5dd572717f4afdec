import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandomness } from 'nestjs-idempotent/testing';
import { OutboxMessageRefusedError, type PublishOutboxMessage } from 'nestjs-idempotent/typeorm';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { placed, startOutbox, useOutboxDatabase } from './support/outbox-app.js';

const fixtures = { PostgreSQL: usePostgres(), MariaDB: useMariaDb() };

describe.each(['PostgreSQL', 'MariaDB'] as const)('relays side by side on %s', (name) => {
  const database = useOutboxDatabase(fixtures[name]);

  it('send each message once and in the order of its aggregate, whatever fails, hangs, is given up or stopped', async () => {
    const random = seededRandomness(1);
    const sent = new Map<string, string[]>();
    const publish: PublishOutboxMessage = async ({ id, aggregate = '' }, { signal }) => {
      const dice = random.fraction();
      if (dice < 0.02) return new Promise(() => undefined);
      if (dice < 0.1) throw new Error('not now');
      if (dice < 0.13) throw new OutboxMessageRefusedError('never');
      await sleep(random.fraction() * 4);
      if (!signal.aborted) sent.set(aggregate, [...(sent.get(aggregate) ?? []), id]);
    };
    const relay = { pollEvery: '20ms', batchSize: 20, concurrency: 4, publishTimeout: '200ms' } as const;
    const options = { publish, relay, retry: { delay: '10ms', maxDelay: '30ms' } };
    const apps = await Promise.all([1, 2, 3].map(() => startOutbox(database.dataSource, options)));
    const [one, other, third] = apps as [(typeof apps)[0], (typeof apps)[0], (typeof apps)[0]];

    // A writer for each aggregate, who adds to it one message after another.
    const added = new Map<string, string[]>();
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      const ids: string[] = [];
      added.set(`order:${writer}`, ids);
      for (let number = 0; number < 25; number += 1)
        ids.push(...(await apps[writer % 3]!.add(placed(`order:${writer}`))));
    });
    const written = Promise.all(writers);
    await eventually(async () => {
      await other.relay.stop();
      other.relay.start();
      for (const { id } of await one.outbox.deadLetters()) await third.outbox.redeliver(id);
      expect(await one.outbox.counts()).toMatchObject({ waiting: 0, dead: 0 });
      expect([...sent.values()].flat()).toHaveLength(200);
    }, 20_000);
    await written;
    expect(Object.fromEntries(sent)).toEqual(Object.fromEntries(added));
    for (const { relay: each } of apps) expect(each.counters().get('delivered')).toBeGreaterThan(0);
    expect(apps.flatMap(({ events }) => events.map(({ type }) => type))).toEqual(
      expect.arrayContaining(['delivered', 'failed', 'dead']),
    );
  }, 30_000);
});
