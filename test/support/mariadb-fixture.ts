import { afterAll, beforeAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { DataSource, type DataSourceOptions } from 'typeorm';
import type { IdempotencyStorage, StorageHost } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { ControlConnections } from '../../libs/idempotency/src/typeorm/mariadb/control-connections.js';
import type { MariaDbOptions } from '../../libs/idempotency/src/typeorm/mariadb/control-options.js';
import { claimOnMariaDb } from '../../libs/idempotency/src/typeorm/mariadb/mariadb-claim.js';
import { MariaDbRecords } from '../../libs/idempotency/src/typeorm/mariadb/mariadb-records.js';
import { claimOnMySql } from '../../libs/idempotency/src/typeorm/mariadb/mysql-claim.js';
import {
  CreateIdempotencyRecords1795305600000,
  typeOrmStorage,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
import { Session } from '../../libs/idempotency/src/typeorm/session.js';
import { TypeOrmStorage } from '../../libs/idempotency/src/typeorm/typeorm-storage.js';
import { startMariaDb, type MariaDbServer, type MariaDbServerOptions } from './mariadb-server.js';

export type MariaDbDataSourceOptions = Extract<DataSourceOptions, { type: 'mariadb' | 'mysql' }>;

/** For a whole spec file: a server, on which every suite makes a database of its own. */
export interface MariaDbFixture {
  readonly server: MariaDbServer;
  /** A DataSource on a new database that holds the table of the records. */
  migrated(options?: Partial<MariaDbDataSourceOptions>): Promise<DataSource>;
  /** A DataSource on a new, empty database. */
  empty(options?: Partial<MariaDbDataSourceOptions>): Promise<DataSource>;
  /** Started, over connections of its own; stopped at the end. */
  storage(options: TypeOrmStorageOptions, host?: StorageHost): Promise<IdempotencyStorage>;
  /** As on a MySQL server: its statements, over a migrated database. */
  mySqlStorage(dataSource: DataSource): Promise<IdempotencyStorage>;
}

export function useMariaDb(options: MariaDbServerOptions = {}): MariaDbFixture {
  const dataSources: DataSource[] = [];
  const storages: IdempotencyStorage[] = [];
  const open = async (more: Partial<MariaDbDataSourceOptions>): Promise<DataSource> => {
    const address = await fixture.server.createDatabase(`test_${randomUUID()}`);
    const merged = { ...address, ...more } as MariaDbDataSourceOptions;
    const dataSource = await new DataSource(merged).initialize();
    dataSources.push(dataSource);
    return dataSource;
  };
  const started = async (storage: IdempotencyStorage, host?: StorageHost) => {
    await storage.start?.(host);
    storages.push(storage);
    return storage;
  };
  const fixture = {
    server: undefined as unknown as MariaDbServer,
    empty: (more: Partial<MariaDbDataSourceOptions> = {}) => open(more),
    migrated: (more: Partial<MariaDbDataSourceOptions> = {}) =>
      open({
        migrations: [CreateIdempotencyRecords1795305600000],
        migrationsRun: true,
        ...more,
      }),
    storage: (storageOptions: TypeOrmStorageOptions, host?: StorageHost) =>
      started(typeOrmStorage({ purgeEvery: false, ...storageOptions }), host),
    mySqlStorage: async (dataSource: DataSource) => started(await storageOver(dataSource, 'MySQL')),
  };
  beforeAll(async () => {
    fixture.server = await startMariaDb(options);
  }, 30_000);
  afterAll(async () => {
    await Promise.all(storages.map(async (storage) => storage.stop?.()));
    await Promise.all(dataSources.filter((one) => one.isInitialized).map((one) => one.destroy()));
    await (fixture.server as MariaDbServer | undefined)?.stop();
  }, 30_000);
  return fixture;
}

/** The storage with the claim of either server and, where `change` says so, with other SQL. */
export async function storageOver(
  dataSource: DataSource,
  claim: 'MariaDB' | 'MySQL',
  change: (name: string, sql: string) => string = (_, sql) => sql,
): Promise<IdempotencyStorage> {
  const settings = { size: 20, preparedStatements: false };
  const connections = await ControlConnections.open(dataSource.options as MariaDbOptions, settings);
  const changed = {
    query: ({ name, sql }: { name: string; sql: string }, values: unknown[]) =>
      connections.query({ name, sql: change(name, sql) }, values),
    close: () => connections.close(),
  };
  const table = { schema: undefined, name: 'idempotency_records' };
  const askClaim = claim === 'MariaDB' ? claimOnMariaDb : claimOnMySql;
  const records = new MariaDbRecords(changed, askClaim, table);
  const session = new Session({ records, purgeEveryMs: undefined, warn: () => undefined });
  return new TypeOrmStorage(() => Promise.resolve(session));
}
