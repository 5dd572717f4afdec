export { redisStorage } from './redis-options.js';
export type {
  RedisClientOptions,
  RedisCommonOptions,
  RedisStorageOptions,
  RedisUrlOptions,
} from './redis-options.js';
export type { HandedInRedis } from './clients/connection-over.js';
export type { NodeRedisClient, NodeRedisCommandOptions } from './clients/node-redis.js';
export type { NodeRedisCluster, NodeRedisClusterNode } from './clients/node-redis-cluster.js';
export type { NodeRedisSentinel } from './clients/node-redis-sentinel.js';
export type { IoredisClient, IoredisOptions, IoredisPipeline } from './clients/ioredis.js';
export type { IoredisCluster } from './clients/ioredis-cluster.js';
export type { RedisArgument, RedisCommand } from './redis-client.js';
