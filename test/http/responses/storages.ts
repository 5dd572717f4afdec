import { memoryStorage, type IdempotencyStorage } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { CreateIdempotencyRecords1795305600000, typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { startMariaDb } from '../../support/mariadb-server.js';
import { startPostgres } from '../../support/postgres-server.js';
import { ioredisClient, nodeRedisCluster, type AppClient } from '../../support/redis-clients.js';
import { RedisCluster } from '../../support/redis-cluster.js';
import { startRedis } from '../../support/redis-server.js';

/** A server that is started once, and storages over it that each app opens for itself. */
export interface StorageServer {
  open(): Promise<IdempotencyStorage>;
  stop(): Promise<void>;
}

export const storageNames = [
  'memory',
  'Redis',
  'ioredis',
  'Redis Cluster',
  'PostgreSQL',
  'MariaDB',
  'SQLite',
] as const;
export type StorageName = (typeof storageNames)[number];

/** Which spec tries which storages: two, so that two workers share the time. Each storage is in one of them. */
export const shares: Readonly<Record<string, readonly StorageName[]>> = {
  'responses-1.spec.ts': ['memory', 'Redis', 'ioredis', 'Redis Cluster'],
  'responses-2.spec.ts': ['PostgreSQL', 'MariaDB', 'SQLite'],
};

export const storageServers: Readonly<Record<StorageName, () => Promise<StorageServer>>> = {
  async memory() {
    return { open: async () => memoryStorage(), stop: async () => {} };
  },

  async Redis() {
    const server = await startRedis();
    return { open: async () => redisStorage({ url: server.url }), stop: () => server.stop() };
  },

  async ioredis() {
    const server = await startRedis();
    return overClient(await ioredisClient(Number(new URL(server.url).port)), () => server.stop());
  },

  async 'Redis Cluster'() {
    const cluster = await RedisCluster.start();
    return overClient(await nodeRedisCluster(cluster), () => cluster.stop());
  },

  async PostgreSQL() {
    const server = await startPostgres();
    return overDatabase(await server.createDatabase('responses'), () => server.stop());
  },

  async MariaDB() {
    const server = await startMariaDb();
    return overDatabase(await server.createDatabase('responses'), () => server.stop());
  },

  async SQLite() {
    const folder = mkdtempSync(join(tmpdir(), 'idempotency-responses-'));
    const file = { type: 'better-sqlite3', database: join(folder, 'records.db') } as const;
    return overDatabase(file, async () => rmSync(folder, { recursive: true }));
  },
};

function overClient({ client, close }: AppClient, stopServer: () => Promise<void>): StorageServer {
  return {
    open: async () => redisStorage({ client }),
    async stop() {
      await close();
      await stopServer();
    },
  };
}

async function overDatabase(
  options: DataSourceOptions,
  stopServer: () => Promise<void>,
): Promise<StorageServer> {
  const dataSource = await new DataSource({
    ...options,
    migrations: [CreateIdempotencyRecords1795305600000],
    migrationsRun: true,
  }).initialize();
  return {
    open: async () => typeOrmStorage({ dataSource, purgeEvery: false }),
    async stop() {
      await dataSource.destroy();
      await stopServer();
    },
  };
}
