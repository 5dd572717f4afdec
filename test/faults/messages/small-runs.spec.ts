import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startPostgres, type PostgresServer } from '../../support/postgres-server.js';
import { startRabbit, type RabbitServer } from '../../support/rabbitmq-server.js';
import { runConsumers } from './consumers-scenario.js';
import { runOutbox } from './outbox-scenario.js';

/** Far more than it takes: Erlang, five processes and a database share two cores with other suites. */
const TIMEOUT_MS = 180_000;

/** What `npm run faults:consumers` and `npm run faults:outbox` do, with fewer messages. */
describe('messages, while processes and the broker are killed', () => {
  let rabbit: RabbitServer;
  let postgres: PostgresServer;
  beforeAll(async () => {
    [rabbit, postgres] = await Promise.all([startRabbit(), startPostgres()]);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await Promise.all([rabbit?.stop(), postgres?.stop()]);
  });

  const seed = Math.floor(Math.random() * 2 ** 31);

  it(
    'have each effect once, in the database and outside, although each is delivered up to five times',
    async () => {
      const tally = await runConsumers(
        { amqpUrl: rabbit.url, postgres },
        {
          messages: 300,
          processes: 3,
          kills: 2,
          seed,
          keys: 'with',
          lease: '3s',
          storageTimeout: '2s',
          stuckAfterMs: 30_000,
        },
      );

      expect({ seed, broken: tally.broken, ...(tally.broken.length > 0 ? tally : {}) }).toEqual({
        seed,
        broken: [],
      });
      expect(tally.facts.redelivered).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  it(
    'leave the outbox all, and in the order of their aggregate',
    async () => {
      const tally = await runOutbox(
        { rabbit, postgres },
        {
          ...{ messages: 200, aggregates: 10, writers: 4, relays: 2, kills: 2, seed },
          ...{
            halts: ['at once'],
            brokerAwayMs: 200,
            lease: '2s',
            publishTimeout: '1s',
            stuckAfterMs: 30_000,
          },
        },
      );

      expect({ seed, broken: tally.broken, ...(tally.broken.length > 0 ? tally : {}) }).toEqual({
        seed,
        broken: [],
      });
      expect(tally.restarts).toBe(1);
    },
    TIMEOUT_MS,
  );
});
