import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { send } from '../http/support/requests.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { usePostgres } from '../support/postgres-fixture.js';
import { expectIdle, inUse, POOL_SIZE, transactional, useShop } from './support/shop.js';

const HANDLER_MS = 300;
const REQUESTS = 200;
const WITHIN_MS = 20_000;

const fixtures = { PostgreSQL: usePostgres(), MariaDB: useMariaDb() };

describe.each(['PostgreSQL', 'MariaDB'] as const)('a pool of five on %s', (database) => {
  const shop = useShop(fixtures[database]);

  it('serves 200 concurrent transactional requests of 300 ms with a step and a lease of 2 s: each once, none loses its lease', async () => {
    let charges = 0;
    let mostTaken = 0;
    const pay = transactional(
      'pay',
      async (op) => {
        await shop.effects.insert({ what: `debit ${op.key}`, attempt: op.attempt });
        mostTaken = Math.max(mostTaken, inUse(shop.dataSource).taken);
        await op.step('charge', async () => {
          charges += 1;
          await sleep(HANDLER_MS);
          return { charged: true };
        });
        await shop.effects.insert({ what: `credit ${op.key}`, attempt: op.attempt });
        return { attempt: op.attempt };
      },
      { lease: '2s' },
    );
    const app = await shop.open('express', { controllers: [pay] });
    const keys = Array.from({ length: REQUESTS }, (_, index) => `k${index}`);

    const startedAt = performance.now();
    const answers = await Promise.all(keys.map((key) => send(app, '/pay', { key })));
    const elapsedMs = performance.now() - startedAt;

    expect(answers.map(({ status, json }) => [status, json])).toEqual(keys.map(() => [201, { attempt: 1 }]));
    expect(elapsedMs).toBeLessThan(WITHIN_MS);
    // They did have to wait for connections.
    expect(elapsedMs).toBeGreaterThan((REQUESTS / POOL_SIZE) * HANDLER_MS * 0.9);
    expect(mostTaken).toBe(POOL_SIZE);
    expect(charges).toBe(REQUESTS);
    const committed = await shop.committed();
    expect(committed.toSorted()).toEqual(
      keys.flatMap((key) => [`debit ${key} 1`, `credit ${key} 1`]).toSorted(),
    );
    expect(new Set(app.events)).toEqual(new Set(['claimed', 'completed']));
    await expectIdle(shop.dataSource);
  }, 60_000);
});
