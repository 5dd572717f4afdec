import type { RedisClient } from '../redis-client.js';
import type { SentinelClient } from '../sentinel-connection.js';
import { fromNodeRedis, sentByUs, withoutErrorListener, type NodeRedisClient } from './node-redis.js';

/** The members of what `createSentinel()` of the package `redis` makes that are used. */
export interface NodeRedisSentinel {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  readonly _keyPrefix?: string | Buffer;
  getMasterNode(): unknown;
  /**
   * Calls `fn` with the connection to the primary. All commands of the client go through it, but it is not among the
   * documented members: those send a command again after a failover, however late.
   */
  _execute<T>(isReadonly: boolean | undefined, fn: (client: NodeRedisClient) => Promise<T>): Promise<T>;
  listenerCount?(event: 'error'): number;
}

export function fromNodeRedisSentinel(sentinel: NodeRedisSentinel): SentinelClient {
  const raw = new WeakMap<RedisClient, NodeRedisClient>();
  const adapted = new WeakMap<NodeRedisClient, RedisClient>();
  const adapt = (client: NodeRedisClient): RedisClient => {
    const known = adapted.get(client) ?? fromNodeRedis(client);
    adapted.set(client, known);
    raw.set(known, client);
    return known;
  };
  return {
    isOpen: () => sentinel.isOpen,
    isReady: () => sentinel.isReady,
    warnings: () => withoutErrorListener(sentinel),
    keyPrefix: sentByUs(sentinel._keyPrefix),
    primary: async () => adapt(await sentinel._execute(false, (client) => Promise.resolve(client))),
    async primaryInsteadOf(stale) {
      let told = false;
      const found = await sentinel._execute(false, (client) => {
        if (told || client !== raw.get(stale)) return Promise.resolve(client);
        told = true;
        // This makes it ask the sentinels again, as the answer to a command of its own would.
        return Promise.reject(new Error('READONLY The server of this connection has become a replica.'));
      });
      return adapt(found);
    },
  };
}
