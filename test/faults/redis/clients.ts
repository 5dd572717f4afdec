import { Cluster, Redis } from 'ioredis';
import { createCluster, createSentinel } from 'redis';
import type { RedisClientOptions } from 'nestjs-idempotent/redis';
import { PRIMARY_NAME } from '../../support/redis-sentinel.js';

export type Library = 'redis' | 'ioredis';

/** Which client to make, as JSON can carry it into another process. */
export interface ClientSpec {
  readonly library: Library;
  readonly kind: 'cluster' | 'sentinel';
  /** Of the cluster's nodes, or of the sentinels. */
  readonly ports: readonly number[];
}

export interface ConnectedClient {
  readonly client: RedisClientOptions['client'];
  close(): Promise<void>;
}

/** A client as an application would make it: defaults, but for what docs/storages.md asks for. */
export async function connectClient({ kind, library, ports }: ClientSpec): Promise<ConnectedClient> {
  const addresses = ports.map((port) => ({ host: '127.0.0.1', port }));
  if (library === 'ioredis') {
    // Without it, it stays with a primary that stands still, whomever the sentinels have promoted meanwhile.
    const behindSentinels = { sentinels: addresses, name: PRIMARY_NAME, socketTimeout: 2_000 };
    const client = kind === 'cluster' ? new Cluster(addresses) : new Redis(behindSentinels);
    client.on('error', () => {});
    return { client, close: async () => client.disconnect() };
  }
  const client =
    kind === 'cluster'
      ? createCluster({ rootNodes: addresses.map((socket) => ({ socket })) })
      : createSentinel({ name: PRIMARY_NAME, sentinelRootNodes: addresses });
  client.on('error', () => {});
  await client.connect();
  return { client, close: async () => client.destroy() };
}
