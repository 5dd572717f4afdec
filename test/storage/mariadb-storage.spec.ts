import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { storageContract, type ContractHarness } from '../../libs/idempotency/src/testing/index.js';
import {
  createIdempotencyRecords,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
import { itAtOnce } from '../support/at-once.js';
import { brokenClauses } from '../support/broken-clauses.js';
import {
  useMariaDb,
  type MariaDbDataSourceOptions,
  type MariaDbFixture,
} from '../support/mariadb-fixture.js';
import { describeContract } from './contract-column.js';

const mariaDb = useMariaDb();
const HOUR_MS = 3_600_000;

/** Two instances with connections of their own. MariaDB judges time by its own clock, so time passes by waiting. */
async function harnessOver(
  dataSource: DataSource,
  options: TypeOrmStorageOptions = {},
  fixture: MariaDbFixture = mariaDb,
): Promise<ContractHarness> {
  const [storage, peer] = await Promise.all([
    fixture.storage({ dataSource, ...options }),
    fixture.storage({ dataSource, ...options }),
  ]);
  return { storage, openPeer: () => Promise.resolve(peer), advance: (ms) => sleep(ms) };
}

/** The same, with the statements for a MySQL server. */
async function mySqlHarness(fixture: MariaDbFixture, dataSource: DataSource): Promise<ContractHarness> {
  const [storage, peer] = [await fixture.mySqlStorage(dataSource), await fixture.mySqlStorage(dataSource)];
  return { storage, openPeer: () => Promise.resolve(peer), advance: (ms) => sleep(ms) };
}

describeContract('MariaDB', async () => harnessOver(await mariaDb.migrated()));

describe('typeOrmStorage keeps the whole contract on MariaDB', () => {
  itAtOnce(
    {
      async 'with prepared statements'() {
        const harness = await harnessOver(await mariaDb.migrated(), { preparedStatements: true });
        expect(await brokenClauses(storageContract, harness)).toEqual([]);
      },

      async 'over a DataSource of type mysql'() {
        const harness = await harnessOver(await mariaDb.migrated({ type: 'mysql' }));
        expect(await brokenClauses(storageContract, harness)).toEqual([]);
      },

      async 'over a single connection, in a table with another name in another database'() {
        const dataSource = await mariaDb.empty({ migrations: [createIdempotencyRecords('App.Keys_2')] });
        await dataSource.query('create database `App`');
        await dataSource.runMigrations();
        const harness = await harnessOver(dataSource, { table: 'App.Keys_2', controlConnections: 1 });
        expect(await brokenClauses(storageContract, harness)).toEqual([]);
      },

      async 'with the statements for MySQL, where they can be run: on MariaDB'() {
        const harness = await mySqlHarness(mariaDb, await mariaDb.migrated());
        expect(await brokenClauses(storageContract, harness)).toEqual([]);
      },
    },
    60_000,
  );
});

describe.each([
  ['SERIALIZABLE', '+05:30', 'utf8mb4_general_ci', 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'],
  [
    'REPEATABLE-READ',
    '-09:00',
    'latin1_german1_ci',
    'PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE,IGNORE_SPACE',
  ],
])('where a server has its own ideas (%s, %s, %s, %s)', (isolation, zone, collation, mode) => {
  const peculiar = useMariaDb({
    args: [
      ...[`--transaction-isolation=${isolation}`, `--default-time-zone=${zone}`, `--sql-mode=${mode}`],
      ...[`--character-set-server=${collation.split('_')[0]}`, `--collation-server=${collation}`],
      ...[
        '--sysdate-is-now',
        '--innodb-snapshot-isolation=ON',
        '--innodb-rollback-on-timeout',
        '--div-precision-increment=0',
        '--init-connect=set autocommit = 0, sql_safe_updates = 1',
      ],
    ],
  });

  /** As a user of no privileges: `init_connect` is not for those who may do everything. */
  async function asUser(name: string): Promise<DataSource> {
    const migrated = await peculiar.migrated();
    await migrated.query(`create user ${name}`);
    await migrated.query(`grant select, insert, update, delete on idempotency_records to ${name}`);
    const dataSource = await new DataSource({
      ...(migrated.options as MariaDbDataSourceOptions),
      migrationsRun: false,
      username: name,
    }).initialize();
    const [shown] = await dataSource.query(
      'select @@tx_isolation as isolation, @@time_zone as zone, @@autocommit as commits',
    );
    expect(shown).toMatchObject({ isolation, zone, commits: '0' });
    return dataSource;
  }

  itAtOnce(
    {
      async 'typeOrmStorage keeps the whole contract'() {
        const dataSource = await asUser('app');
        expect(await brokenClauses(storageContract, await harnessOver(dataSource, {}, peculiar))).toEqual([]);
        await dataSource.destroy();
      },

      async 'the statements for MySQL keep the whole contract'() {
        const dataSource = await asUser('app_2');
        expect(await brokenClauses(storageContract, await mySqlHarness(peculiar, dataSource))).toEqual([]);
        await dataSource.destroy();
      },
    },
    60_000,
  );

  it('times are those of the server, whoever looks', async () => {
    const dataSource = await peculiar.migrated();
    const storage = await peculiar.storage({ dataSource });
    await storage.claim('now', {
      ownerToken: randomUUID(),
      fingerprint: '',
      leaseMs: HOUR_MS,
      keepMs: 0,
      takeOver: true,
    });
    const [row] = await dataSource.query(
      `select unix_timestamp(now(3)) * 1000 - created_at as age, lease_until - created_at as lease from idempotency_records where id = 'now'`,
    );
    expect(Number(row.age)).toBeGreaterThanOrEqual(0);
    expect(Number(row.age)).toBeLessThan(60_000);
    expect(Number(row.lease)).toBe(HOUR_MS);
  });
});
