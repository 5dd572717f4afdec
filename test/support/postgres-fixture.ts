import { afterAll, beforeAll } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataSource, type DataSourceOptions } from 'typeorm';
import type {
  Claim,
  ClaimRequest,
  IdempotencyStorage,
  StorageHost,
} from '../../libs/idempotency/src/core/idempotency-storage.js';
import {
  CreateIdempotencyRecords1795305600000,
  typeOrmStorage,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
import { startPostgres, type PostgresServer, type PostgresServerOptions } from './postgres-server.js';

export type PostgresOptions = Extract<DataSourceOptions, { type: 'postgres' }>;

/** For a whole spec file: a server, on which every suite makes a database of its own. */
export interface PostgresFixture {
  readonly server: PostgresServer;
  /** A DataSource on a new database that holds the table of the records. */
  migrated(options?: Partial<PostgresOptions>): Promise<DataSource>;
  /** A DataSource on a new, empty database. */
  empty(options?: Partial<PostgresOptions>): Promise<DataSource>;
  /** Started, over connections of its own; stopped at the end. */
  storage(options: TypeOrmStorageOptions, host?: StorageHost): Promise<IdempotencyStorage>;
}

export function usePostgres(options: PostgresServerOptions = {}): PostgresFixture {
  const dataSources: DataSource[] = [];
  const storages: IdempotencyStorage[] = [];
  const open = async (more: Partial<PostgresOptions>): Promise<DataSource> => {
    const address = await fixture.server.createDatabase(`test_${randomUUID()}`);
    const dataSource = await new DataSource({ ...address, ...more }).initialize();
    dataSources.push(dataSource);
    return dataSource;
  };
  const fixture = {
    server: undefined as unknown as PostgresServer,
    empty: (more: Partial<PostgresOptions> = {}) => open(more),
    migrated: (more: Partial<PostgresOptions> = {}) =>
      open({ migrations: [CreateIdempotencyRecords1795305600000], migrationsRun: true, ...more }),
    async storage(storageOptions: TypeOrmStorageOptions, host?: StorageHost) {
      const storage = typeOrmStorage({ purgeEvery: false, ...storageOptions });
      await storage.start?.(host);
      storages.push(storage);
      return storage;
    },
  };
  beforeAll(async () => {
    fixture.server = await startPostgres(options);
  }, 30_000);
  afterAll(async () => {
    await Promise.all(storages.map(async (storage) => storage.stop?.()));
    await Promise.all(dataSources.filter((one) => one.isInitialized).map((one) => one.destroy()));
    await (fixture.server as PostgresServer | undefined)?.stop();
  }, 30_000);
  return fixture;
}

export function claimRequest(overrides: Partial<ClaimRequest> = {}): ClaimRequest {
  const defaults = { fingerprint: 'fp', leaseMs: 60_000, keepMs: 60_000, takeOver: true };
  return { ownerToken: randomUUID(), ...defaults, ...overrides };
}

/** A new id, and what is needed to claim it and to act on the claim. */
export function newClaim(overrides: Partial<ClaimRequest> = {}): {
  id: string;
  request: ClaimRequest;
  claim: Claim;
} {
  const id = `test|postgres|${randomUUID()}`;
  const request = claimRequest(overrides);
  return { id, request, claim: { id, ownerToken: request.ownerToken } };
}

/** Calls until it no longer throws, for things that come about by themselves. */
export async function eventually<T>(call: () => Promise<T> | T, withinMs = 5_000): Promise<T> {
  for (const deadline = Date.now() + withinMs; ; await sleep(20)) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

/** What the storage told the operator. */
export function listeningHost(dataSource?: DataSource): StorageHost & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return { warnings, find: () => dataSource as never, warn: (message) => warnings.push(message) };
}

/** A transaction of somebody else that holds what it has locked until `end` is called. */
export async function holdLock(
  dataSource: DataSource,
  sql: string,
  parameters: unknown[],
): Promise<{ end(): Promise<void> }> {
  const runner = dataSource.createQueryRunner();
  await runner.startTransaction();
  await runner.query(sql, parameters);
  return {
    async end() {
      await runner.commitTransaction();
      await runner.release();
    },
  };
}
