import type { Duration } from '../core/duration.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import { connectionOver, type HandedInRedis } from './clients/connection-over.js';
import type { RedisConnection } from './redis-connection.js';
import { RedisStorage } from './redis-storage.js';
import { replicaWait } from './replica-wait.js';
import { UrlConnection } from './url-connection.js';

/** Where the records are: an address, or a client that is there already. */
export type RedisStorageOptions = RedisUrlOptions | RedisClientOptions;

/** The storage makes its own client, and closes it. */
export interface RedisUrlOptions extends RedisCommonOptions {
  /**
   * Where Redis is: `redis://[[user]:password@]host[:6379][/database]`, `rediss://` for TLS.
   *
   * The storage makes the client itself, with the package `redis`: it connects at start, reconnects for ever, and
   * closes at stop.
   */
  readonly url: string;
  readonly client?: undefined;
}

/** The storage uses a client that is handed in, and never closes it. */
export interface RedisClientOptions extends RedisCommonOptions {
  /**
   * A connected client: of the package `redis` 5 or 6 what `createClient()`, `createCluster()` or `createSentinel()`
   * make, of `ioredis` 5 a `Redis` (also one with `sentinels`) or a `Cluster`.
   *
   * It stays the application's: it is never connected or closed here, and it reconnects as it was told to. Commands
   * that block (BLPOP, WAIT) belong on a client of their own, since claims wait behind them.
   */
  readonly client: HandedInRedis;
  readonly url?: undefined;
}

/** What both ways to name a Redis have. */
export interface RedisCommonOptions {
  /**
   * How many replicas must have a change before it counts (Redis' WAIT, in the same round trip). What fewer have within
   * `timeout` is refused with `storage-unavailable`: no handler runs on a claim that a failover would lose, and no
   * client gets an answer whose record it would lose.
   *
   * That holds when the replica that becomes primary is one of those that answered: with as many as there are, always.
   * A number alone has a timeout of 250 ms; `timeout` is seconds, or a string with a unit, and 2 s at most.
   *
   * Changes go out in groups, one group at a time. Give the storage a client of its own: WAIT blocks the connection.
   *
   * @default undefined: replication is not waited for
   */
  readonly waitReplicas?: number | { readonly replicas: number; readonly timeout?: Duration };
}

/** Records in Redis, shared by all processes that use it. */
export function redisStorage(options: RedisStorageOptions): IdempotencyStorage {
  return new RedisStorage(connectionFor(options));
}

const OPTIONS = ['url', 'client', 'waitReplicas'];

function connectionFor(options: RedisStorageOptions): RedisConnection {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw new InvalidOptionsError(
      `redisStorage: \`${unknown}\` is not an option. Give \`url\` or \`client\`, and \`waitReplicas\` if you want it.`,
    );
  }
  const { url, client } = options;
  if ((url === undefined) === (client === undefined)) {
    throw new InvalidOptionsError(
      `redisStorage: ${url === undefined ? 'neither `url` nor `client` is given' : '`url` and `client` contradict each other'}. Give one of them.`,
    );
  }
  const wait = replicaWait(options.waitReplicas);
  return client === undefined
    ? new UrlConnection(url, undefined, undefined, wait)
    : connectionOver(client, wait);
}
