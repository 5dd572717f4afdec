import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { storageContract, type ContractHarness } from '../../libs/idempotency/src/testing/index.js';
import {
  createIdempotencyRecords,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
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

describeContract('MariaDB', async () => harnessOver(await mariaDb.migrated()));

describe('typeOrmStorage keeps the whole contract on MariaDB', () => {
  it('with prepared statements', async () => {
    const harness = await harnessOver(await mariaDb.migrated(), { preparedStatements: true });
    expect(await brokenClauses(storageContract, harness)).toEqual([]);
  }, 60_000);

  it('over a DataSource of type mysql', async () => {
    const harness = await harnessOver(await mariaDb.migrated({ type: 'mysql' }));
    expect(await brokenClauses(storageContract, harness)).toEqual([]);
  }, 60_000);

  it('over a single connection, in a table with another name in another database', async () => {
    const dataSource = await mariaDb.empty({ migrations: [createIdempotencyRecords('App.Keys_2')] });
    await dataSource.query('create database `App`');
    await dataSource.runMigrations();
    const harness = await harnessOver(dataSource, { table: 'App.Keys_2', controlConnections: 1 });
    expect(await brokenClauses(storageContract, harness)).toEqual([]);
  }, 60_000);
});

describe('the statements for MySQL keep the whole contract where they can be run: on MariaDB', () => {
  it('over two instances', async () => {
    const dataSource = await mariaDb.migrated();
    const [storage, peer] = [await mariaDb.mySqlStorage(dataSource), await mariaDb.mySqlStorage(dataSource)];
    const harness = { storage, openPeer: () => Promise.resolve(peer), advance: (ms: number) => sleep(ms) };
    expect(await brokenClauses(storageContract, harness)).toEqual([]);
  }, 60_000);
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

  it('typeOrmStorage keeps the whole contract, and with the statements for MySQL as well', async () => {
    const migrated = await peculiar.migrated();
    // `init_connect` is not for those who may do everything.
    await migrated.query(`create user app`);
    await migrated.query(`grant select, insert, update, delete on idempotency_records to app`);
    const dataSource = await new DataSource({
      ...(migrated.options as MariaDbDataSourceOptions),
      migrationsRun: false,
      username: 'app',
    }).initialize();
    const [shown] = await dataSource.query(
      'select @@tx_isolation as isolation, @@time_zone as zone, @@autocommit as commits',
    );
    expect(shown).toMatchObject({ isolation, zone, commits: '0' });
    expect(await brokenClauses(storageContract, await harnessOver(dataSource, {}, peculiar))).toEqual([]);
    const [storage, peer] = [
      await peculiar.mySqlStorage(dataSource),
      await peculiar.mySqlStorage(dataSource),
    ];
    const harness = { storage, openPeer: () => Promise.resolve(peer), advance: (ms: number) => sleep(ms) };
    expect(await brokenClauses(storageContract, harness)).toEqual([]);
    await dataSource.destroy();
  }, 60_000);

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
