import { afterAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource, type DataSourceOptions } from 'typeorm';
import type { IdempotencyStorage, StorageHost } from '../../libs/idempotency/src/core/idempotency-storage.js';
import {
  CreateIdempotencyRecords1795305600000,
  typeOrmStorage,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
import { startSqlitePeer, type SqlitePeer } from './sqlite-peer.js';

export type SqliteOptions = Extract<DataSourceOptions, { type: 'better-sqlite3' }>;

/** For a whole spec file: a folder, in which every suite makes files of its own. */
export interface SqliteFixture {
  /** Of a file that is not there yet. */
  path(): string;
  /** A DataSource on a new file that holds the table of the records. */
  migrated(options?: Partial<SqliteOptions>): Promise<DataSource>;
  /** A DataSource on a new, empty file, unless `database` names one. */
  empty(options?: Partial<SqliteOptions>): Promise<DataSource>;
  /** Started, over a connection of its own; stopped at the end. */
  storage(options: TypeOrmStorageOptions, host?: StorageHost): Promise<IdempotencyStorage>;
  /** The same in another process. */
  peer(dataSource: DataSource): Promise<SqlitePeer>;
}

export function useSqlite(): SqliteFixture {
  const folder = mkdtempSync(join(tmpdir(), 'idempotency-sqlite-'));
  const dataSources: DataSource[] = [];
  const storages: IdempotencyStorage[] = [];
  const peers: SqlitePeer[] = [];
  afterAll(async () => {
    await Promise.all(peers.map((peer) => peer.stop()));
    await Promise.all(storages.map(async (storage) => storage.stop?.()));
    await Promise.all(dataSources.filter((one) => one.isInitialized).map((one) => one.destroy()));
    rmSync(folder, { recursive: true, force: true });
  }, 30_000);

  const path = () => join(folder, `${randomUUID()}.db`);
  const empty = async (options: Partial<SqliteOptions> = {}) => {
    const dataSource = new DataSource({ type: 'better-sqlite3', database: path(), ...options });
    dataSources.push(dataSource);
    return dataSource.initialize();
  };
  return {
    path,
    empty,
    migrated: (options = {}) =>
      empty({ migrations: [CreateIdempotencyRecords1795305600000], migrationsRun: true, ...options }),
    async storage(options, host) {
      const storage = typeOrmStorage({ purgeEvery: false, ...options });
      await storage.start?.(host);
      storages.push(storage);
      return storage;
    },
    async peer(dataSource) {
      const peer = await startSqlitePeer(String(dataSource.options.database));
      peers.push(peer);
      return peer;
    },
  };
}
