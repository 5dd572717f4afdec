import { resolve } from 'node:path';
import { readChoice, readPort, readText, readUrl } from '../../../shared/src/start/environment.js';
import type { Environment } from '../../../shared/src/start/environment.js';
import { StartError } from '../../../shared/src/start/start-error.js';
import { PLATFORMS, STORAGES } from './app-config.js';
import type { AppConfig } from './app-config.js';

/**
 * | variable              | default                  | meaning                                                        |
 * |-----------------------|--------------------------|----------------------------------------------------------------|
 * | `PORT`                | `3000`                   | where to listen, on the loopback interface                     |
 * | `PLATFORM`            | `express`                | or `fastify`                                                   |
 * | `IDEMPOTENCY_STORAGE` | `typeorm`                | or `redis`, `memory`: where the records live                   |
 * | `TRANSACTIONAL`       | `true`                   | `false`: an order and its record are not committed together    |
 * | `LEASE`               | `30s`                    | how long a crash keeps a key and a message busy, such as `2s`  |
 * | `DATABASE_URL`        | the embedded PostgreSQL  | `postgres://user:password@host:port/database`, or `mariadb://` |
 * | `REDIS_URL`           | `redis://127.0.0.1:6379` | used with `IDEMPOTENCY_STORAGE=redis`                          |
 * | `PAYMENTS_URL`        | one of our own           | a payment service of yours                                     |
 * | `AMQP_URL`            | inside this process      | `amqp://user:password@host:port`: messages go over a RabbitMQ  |
 * | `DATA_DIR`            | `.data` in the checkout  | where the embedded PostgreSQL, the ledger and the mails are    |
 */
export function readConfig(env: Environment, checkout: string): AppConfig {
  const storage = readChoice(env, 'IDEMPOTENCY_STORAGE', STORAGES, 'typeorm');
  return {
    port: readPort(env, 3000),
    platform: readChoice(env, 'PLATFORM', PLATFORMS, 'express'),
    storage,
    transactional:
      storage === 'typeorm' && readChoice(env, 'TRANSACTIONAL', ['true', 'false'], 'true') === 'true',
    lease: readText(env, 'LEASE'),
    databaseUrl: readUrl(env, 'DATABASE_URL', ['postgres:', 'postgresql:', 'mariadb:', 'mysql:']),
    redisUrl: readUrl(env, 'REDIS_URL', ['redis:', 'rediss:']) ?? 'redis://127.0.0.1:6379',
    paymentsUrl: readPaymentsUrl(env),
    amqpUrl: readUrl(env, 'AMQP_URL', ['amqp:', 'amqps:']),
    dataDir: resolve(checkout, readText(env, 'DATA_DIR') ?? '.data'),
  };
}

/** `fetch` refuses every URL with a user in it, so each payment would be answered as if nobody were there. */
function readPaymentsUrl(env: Environment): string | undefined {
  const url = readUrl(env, 'PAYMENTS_URL', ['http:', 'https:']);
  if (url === undefined || new URL(url).username + new URL(url).password === '') return url;
  throw new StartError(
    'PAYMENTS_URL has a user or a password in it. The payment service knows neither: leave them out.',
  );
}
