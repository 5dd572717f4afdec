import { InvalidOptionsError } from '../../core/errors.js';
import { ClusterConnection } from '../cluster-connection.js';
import { HandedInConnection, type RedisConnection } from '../redis-connection.js';
import type { ReplicaWait } from '../replica-wait.js';
import { SentinelConnection } from '../sentinel-connection.js';
import { fromIoredis, type IoredisClient } from './ioredis.js';
import { fromIoredisCluster, type IoredisCluster } from './ioredis-cluster.js';
import { fromNodeRedis, type NodeRedisClient } from './node-redis.js';
import { fromNodeRedisCluster, type NodeRedisCluster } from './node-redis-cluster.js';
import { fromNodeRedisSentinel, type NodeRedisSentinel } from './node-redis-sentinel.js';

/** A client that `redisStorage({ client })` takes, described by the few members that are used. */
export type HandedInRedis =
  NodeRedisClient | NodeRedisCluster | NodeRedisSentinel | IoredisClient | IoredisCluster;

/** Each kind is told by members that the others lack. @throws InvalidOptionsError when it is none of them */
export function connectionOver(client: HandedInRedis, wait: ReplicaWait | undefined): RedisConnection {
  const has = (name: string, type: string) => typeof (client as never)[name] === type;
  if (has('callBuffer', 'function') && has('status', 'string')) {
    return (client as { isCluster?: boolean }).isCluster === true
      ? new ClusterConnection(fromIoredisCluster(client as IoredisCluster), wait)
      : new HandedInConnection(fromIoredis(client as IoredisClient), wait);
  }
  if (has('sendCommand', 'function') && has('isOpen', 'boolean')) {
    if (has('nodeClient', 'function')) {
      return new ClusterConnection(fromNodeRedisCluster(client as NodeRedisCluster), wait);
    }
    if (has('getMasterNode', 'function')) {
      if (!has('_execute', 'function')) throw unknownSentinel();
      return new SentinelConnection(fromNodeRedisSentinel(client as NodeRedisSentinel), wait);
    }
    if (has('isReady', 'boolean'))
      return new HandedInConnection(fromNodeRedis(client as NodeRedisClient), wait);
  }
  throw new InvalidOptionsError(
    'redisStorage: `client` is not a client that can be used. Give what `createClient()`, `createCluster()` or `createSentinel()` ' +
      'of the package `redis` 5 or 6 make, or a `Redis` or `Cluster` of `ioredis` 5.',
  );
}

/** Taken for a client of one server it would send commands again after a failover, however late. */
function unknownSentinel(): InvalidOptionsError {
  return new InvalidOptionsError(
    'redisStorage: the `client` handed in follows Sentinels, and this version of the package `redis` has no `_execute` that leads to their primary. ' +
      'Use a version that docs/storages.md names, or a `Redis` of `ioredis` 5 with `sentinels`.',
  );
}
