export { redisStorage } from './redis-options.js';
export type { RedisClientOptions, RedisStorageOptions, RedisUrlOptions } from './redis-options.js';
export type {
  NodeRedisClient,
  NodeRedisCommandOptions,
  RedisArgument,
  RedisCommand,
} from './redis-client.js';
