import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import {
  createClient,
  createCluster,
  createSentinel,
  type RedisClientOptions,
  type RedisClusterOptions,
  type RedisSentinelOptions,
} from 'redis';
import type { HandedInRedis } from '../../libs/idempotency/src/redis/index.js';
import type { RedisCluster } from './redis-cluster.js';
import { PRIMARY_NAME, type RedisSentinel } from './redis-sentinel.js';
import { eventually } from './redis-fixture.js';

/** A connected client of an application, and what ends it. */
export interface AppClient<T extends HandedInRedis = HandedInRedis> {
  readonly client: T;
  close(): Promise<void> | void;
}

export async function nodeRedisClient(url: string, options: RedisClientOptions = {}) {
  const client = createClient({ url, ...options });
  client.on('error', () => {});
  await client.connect();
  return { client, close: () => client.destroy() };
}

export async function ioredisClient(port: number, options: RedisOptions = {}): Promise<AppClient<Redis>> {
  return opened(new Redis(port, '127.0.0.1', { retryStrategy: () => 50, ...options }));
}

export async function nodeRedisCluster({ urls }: RedisCluster, options: Partial<RedisClusterOptions> = {}) {
  const client = createCluster({ rootNodes: urls.map((url) => ({ url })), ...options });
  client.on('error', () => {});
  await client.connect();
  return { client, close: () => client.destroy() };
}

export async function ioredisCluster(
  { nodes }: RedisCluster,
  options: ClusterOptions = {},
): Promise<AppClient<Cluster>> {
  return opened(
    new Cluster(
      nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
      options,
    ),
  );
}

export async function nodeRedisSentinel(
  { addresses }: RedisSentinel,
  options: Partial<RedisSentinelOptions> = {},
) {
  const client = createSentinel({ name: PRIMARY_NAME, sentinelRootNodes: addresses, ...options });
  client.on('error', () => {});
  await client.connect();
  return { client, close: () => client.destroy() };
}

export async function ioredisSentinel(
  { addresses }: RedisSentinel,
  options: RedisOptions = {},
): Promise<AppClient<Redis>> {
  return opened(
    new Redis({
      sentinels: addresses,
      name: PRIMARY_NAME,
      sentinelRetryStrategy: () => 50,
      retryStrategy: () => 50,
      ...options,
    }),
  );
}

/** ioredis connects by itself. */
async function opened<T extends Redis | Cluster>(client: T): Promise<AppClient<T>> {
  client.on('error', () => {});
  await eventually(() => {
    if (client.status !== 'ready') throw new Error(`The client is ${client.status}.`);
  }, 10_000);
  return { client, close: () => client.disconnect() };
}
