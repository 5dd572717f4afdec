import { describe, expect } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { storageContract, type ContractHarness } from '../../libs/idempotency/src/testing/index.js';
import {
  CreateIdempotencyRecords1795305600000,
  createIdempotencyRecords,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
import { itAtOnce } from '../support/at-once.js';
import { brokenClauses } from '../support/broken-clauses.js';
import { usePostgres } from '../support/postgres-fixture.js';
import { describeContract } from './contract-column.js';

const postgres = usePostgres();

/** Two instances with connections of their own. PostgreSQL judges time by its own clock, so time passes by waiting. */
async function harnessOver(
  dataSource: DataSource,
  options: TypeOrmStorageOptions = {},
): Promise<ContractHarness> {
  const [storage, peer] = await Promise.all([
    postgres.storage({ dataSource, ...options }),
    postgres.storage({ dataSource, ...options }),
  ]);
  return { storage, openPeer: () => Promise.resolve(peer), advance: (ms) => sleep(ms) };
}

describeContract('PostgreSQL', async () => harnessOver(await postgres.migrated()));

describe('typeOrmStorage keeps the whole contract', () => {
  itAtOnce(
    {
      async 'with prepared statements'() {
        const harness = await harnessOver(await postgres.migrated(), { preparedStatements: true });
        expect(await brokenClauses(storageContract, harness)).toEqual([]);
      },

      async 'over a single connection, in a table with another name in another schema'() {
        const dataSource = await postgres.empty({ migrations: [createIdempotencyRecords('App.Keys_2')] });
        await dataSource.query('create schema "App"');
        await dataSource.runMigrations();
        const harness = await harnessOver(dataSource, { table: 'App.Keys_2', controlConnections: 1 });
        expect(await brokenClauses(storageContract, harness)).toEqual([]);
      },

      async 'where transactions are serializable unless they say otherwise'() {
        const dataSource = await postgres.empty({ migrations: [CreateIdempotencyRecords1795305600000] });
        const database = String(dataSource.options.database);
        await dataSource.query(
          `alter database "${database}" set default_transaction_isolation to serializable`,
        );
        await dataSource.destroy();
        await dataSource.initialize();
        expect(await dataSource.query('show transaction_isolation')).toEqual([
          { transaction_isolation: 'serializable' },
        ]);
        await dataSource.runMigrations();
        expect(await brokenClauses(storageContract, await harnessOver(dataSource))).toEqual([]);
      },
    },
    60_000,
  );
});
