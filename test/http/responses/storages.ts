import { memoryStorage, type IdempotencyStorage } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { CreateIdempotencyRecords1795305600000, typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { startPostgres } from '../../support/postgres-server.js';
import { startRedis } from '../../support/redis-server.js';

/** A server that is started once, and storages over it that each app opens for itself. */
export interface StorageServer {
  open(): Promise<IdempotencyStorage>;
  stop(): Promise<void>;
}

export const storageNames = ['memory', 'Redis', 'PostgreSQL'] as const;
export type StorageName = (typeof storageNames)[number];

/** Which spec tries which storages: two, so that two workers share the time. Each storage is in one of them. */
export const shares: Readonly<Record<string, readonly StorageName[]>> = {
  'responses-1.spec.ts': ['memory', 'Redis'],
  'responses-2.spec.ts': ['PostgreSQL'],
};

export const storageServers: Readonly<Record<StorageName, () => Promise<StorageServer>>> = {
  async memory() {
    return { open: async () => memoryStorage(), stop: async () => {} };
  },

  async Redis() {
    const server = await startRedis();
    return { open: async () => redisStorage({ url: server.url }), stop: () => server.stop() };
  },

  async PostgreSQL() {
    const server = await startPostgres();
    const dataSource = await new DataSource({
      ...(await server.createDatabase('responses')),
      migrations: [CreateIdempotencyRecords1795305600000],
      migrationsRun: true,
    }).initialize();
    return {
      open: async () => typeOrmStorage({ dataSource, purgeEvery: false }),
      async stop() {
        await dataSource.destroy();
        await server.stop();
      },
    };
  },
};
