import { InvalidOptionsError } from '../core/errors.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import type { NodeRedisClient } from './redis-client.js';
import { HandedInConnection, type RedisConnection } from './redis-connection.js';
import { RedisStorage } from './redis-storage.js';
import { UrlConnection } from './url-connection.js';

export type RedisStorageOptions = RedisUrlOptions | RedisClientOptions;

export interface RedisUrlOptions {
  /**
   * Where Redis is: `redis://[[user]:password@]host[:6379][/database]`, `rediss://` for TLS.
   *
   * The storage makes the client itself, with the package `redis`: it connects at start, reconnects for ever, and
   * closes at stop.
   */
  readonly url: string;
  readonly client?: undefined;
}

export interface RedisClientOptions {
  /**
   * A connected client of the package `redis` 5 or 6.
   *
   * It stays the application's: it is never connected or closed here, and it reconnects as it was told to. Commands
   * that block (BLPOP, WAIT) belong on a client of their own, since claims wait behind them.
   */
  readonly client: NodeRedisClient;
  readonly url?: undefined;
}

/** Records in Redis, shared by all processes that use it. */
export function redisStorage(options: RedisStorageOptions): IdempotencyStorage {
  return new RedisStorage(connectionFor(options));
}

function connectionFor(options: RedisStorageOptions): RedisConnection {
  const unknown = Object.keys(options).find((name) => name !== 'url' && name !== 'client');
  if (unknown !== undefined) {
    throw new InvalidOptionsError(
      `redisStorage: \`${unknown}\` is not an option. Give \`url\` or \`client\`.`,
    );
  }
  const { url, client } = options;
  if ((url === undefined) === (client === undefined)) {
    throw new InvalidOptionsError(
      `redisStorage: ${url === undefined ? 'neither `url` nor `client` is given' : '`url` and `client` contradict each other'}. Give one of them.`,
    );
  }
  if (client === undefined) return new UrlConnection(url);
  if (typeof client.sendCommand !== 'function' || typeof client.isReady !== 'boolean') {
    throw new InvalidOptionsError(
      'redisStorage: `client` is not a client that can be used. Give what `createClient()` of the package `redis` 5 or 6 makes.',
    );
  }
  return new HandedInConnection(client);
}
