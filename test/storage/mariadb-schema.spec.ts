import { describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { InvalidOptionsError, StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import {
  CreateIdempotencyRecords1795305600000,
  createIdempotencyRecords,
  MariaDbIdempotencyRecord,
  typeOrmStorage,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
import { serverOf } from '../../libs/idempotency/src/typeorm/mariadb/session-settings.js';
import { useMariaDb, type MariaDbDataSourceOptions } from '../support/mariadb-fixture.js';
import { claimRequest, listeningHost, newClaim } from '../support/postgres-fixture.js';

const mariaDb = useMariaDb();
const optionsOf = (dataSource: DataSource) => dataSource.options as MariaDbDataSourceOptions;

/** Everything the catalog knows about a table's columns and indexes. */
async function schemaOf(dataSource: DataSource, table: string): Promise<unknown> {
  const query = (sql: string): Promise<unknown> => dataSource.query(sql, [table]);
  return {
    columns: await query(
      `select column_name, column_type, is_nullable, column_default, collation_name, column_key, extra
       from information_schema.columns where table_schema = database() and table_name = ? order by ordinal_position`,
    ),
    table: await query(
      `select engine, row_format from information_schema.tables where table_schema = database() and table_name = ?`,
    ),
    indexes: await query(
      `select index_name, non_unique, seq_in_index, column_name from information_schema.statistics
       where table_schema = database() and table_name = ? order by index_name, seq_in_index`,
    ),
  };
}

describe('the table on MariaDB', () => {
  // With the type `mysql`, TypeORM takes every nullable column of a MariaDB server for changed, whosever entity it is.
  it('is the same from the migration and from the entity, so that `migration:generate` finds nothing to do', async () => {
    const migrated = await mariaDb.migrated();
    const synchronized = await mariaDb.empty({
      entities: [MariaDbIdempotencyRecord],
      synchronize: true,
    });
    const table = 'idempotency_records';
    expect(await schemaOf(synchronized, table)).toEqual(await schemaOf(migrated, table));

    for (const made of [migrated, synchronized]) {
      const both = await new DataSource({
        ...optionsOf(made),
        migrations: [],
        synchronize: false,
        entities: [MariaDbIdempotencyRecord],
      }).initialize();
      const { upQueries } = await both.driver.createSchemaBuilder().log();
      expect(upQueries.map(({ query }) => query)).toEqual([]);
      await both.destroy();
    }
  });

  it('of the entity is the one that the storage uses, and can be read through it', async () => {
    const dataSource = await mariaDb.empty({
      entities: [MariaDbIdempotencyRecord],
      synchronize: true,
      entityPrefix: 'app_',
    });
    const storage = await mariaDb.storage({ dataSource });
    const { id, request, claim } = newClaim();
    const before = Date.now();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('done'), 60_000);
    const [record] = await dataSource.getRepository(MariaDbIdempotencyRecord).find({ where: { id } });
    expect(record).toMatchObject({ id, state: 1, attempt: 1, owner: request.ownerToken, fingerprint: 'fp' });
    expect(record?.result?.toString()).toBe('done');
    // One machine, so one clock.
    expect(Math.abs(Number(record?.createdAt) - before)).toBeLessThan(5_000);
    expect(await dataSource.query(`show tables like 'app\\_idempotency\\_records'`)).toHaveLength(1);
  });

  it('is made once by processes that migrate at the same moment, in every transaction mode', async () => {
    for (const migrationsTransactionMode of ['all', 'each', 'none'] as const) {
      const dataSource = await mariaDb.empty();
      await dataSource.runMigrations();
      const processes = await Promise.all(
        Array.from({ length: 8 }, () =>
          new DataSource({
            ...optionsOf(dataSource),
            migrations: [CreateIdempotencyRecords1795305600000, createIdempotencyRecords('second')],
            migrationsTransactionMode,
          }).initialize(),
        ),
      );
      await Promise.all(processes.map((one) => one.runMigrations()));
      await Promise.all([mariaDb.storage({ dataSource }), mariaDb.storage({ dataSource, table: 'second' })]);
      await Promise.all(processes.map((one) => one.destroy()));
    }
  }, 30_000);

  it('is removed again by `down`', async () => {
    const dataSource = await mariaDb.migrated();
    await dataSource.undoLastMigration();
    expect(await dataSource.query(`show tables like 'idempotency%'`)).toEqual([]);
  });

  it('is kept by InnoDB, whatever the server would take', async () => {
    await mariaDb.server.asRoot((root) => root.query('set global default_storage_engine = Aria'));
    try {
      await mariaDb.storage({ dataSource: await mariaDb.migrated() });
    } finally {
      await mariaDb.server.asRoot((root) => root.query('set global default_storage_engine = InnoDB'));
    }
  });
});

describe('start refuses on MariaDB', () => {
  const refusal = async (options: TypeOrmStorageOptions, host = listeningHost()): Promise<string> => {
    const error = await Promise.resolve(typeOrmStorage(options).start?.(host)).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(InvalidOptionsError);
    return (error as Error).message;
  };

  it('a missing table, and says which migration makes it', async () => {
    const dataSource = await mariaDb.empty();
    expect(await refusal({ dataSource })).toMatch(
      /there is no table `idempotency_records` \(database test_.*, user root@.*\)\. Add the migration `CreateIdempotencyRecords1795305600000` from `nestjs-idempotent\/typeorm` .* run it, or its entity `MariaDbIdempotencyRecord`/,
    );
    expect(await refusal({ dataSource, table: 'app.keys' })).toContain(
      `createIdempotencyRecords('app.keys')`,
    );
  });

  it.each([
    [
      'has other columns',
      'drop steps, modify id varchar(255)',
      /it lacks `id varbinary\(2048\)`, `steps longblob`\. Add/,
    ],
    [
      'compares owners as a language does',
      'modify owner char(36) charset utf8mb4',
      /it lacks `owner char\(36\) ascii_bin`/,
    ],
    ['lets an id come twice', 'drop primary key', /nothing makes `id` unique/],
    ['knows no transactions', 'engine = Aria', /is kept by Aria, .*engine = InnoDB/],
    [
      'finds no expired records',
      'drop index idempotency_records_expires_at',
      /has no index `idempotency_records_expires_at`/,
    ],
  ])('a table that %s', async (_, change, sentence) => {
    const dataSource = await mariaDb.migrated();
    await dataSource.query(`alter table idempotency_records ${change}`);
    expect(await refusal({ dataSource })).toMatch(sentence);
  });

  it('a table that its user may not write, or not see', async () => {
    const dataSource = await mariaDb.migrated();
    const { database } = optionsOf(dataSource);
    const asReader = async () => {
      const reading = await new DataSource({
        ...optionsOf(dataSource),
        migrationsRun: false,
        username: 'reader',
      }).initialize();
      const said = await refusal({ dataSource: reading });
      await reading.destroy();
      return said;
    };
    const rights =
      /may not be read and written \(database test_.*, user reader@.*: .*denied.*\)\. Grant SELECT, INSERT, UPDATE and DELETE/;
    await dataSource.query(`create user reader`);
    await dataSource.query(`create table \`${String(database)}\`.other (id int)`);
    await dataSource.query(`grant select on \`${String(database)}\`.other to reader`);
    expect(await asReader()).toMatch(rights);
    await dataSource.query(
      `grant select, insert, update on \`${String(database)}\`.idempotency_records to reader`,
    );
    expect(await asReader()).toMatch(rights);
    await dataSource.query(`grant delete on \`${String(database)}\`.idempotency_records to reader`);
    const writing = await new DataSource({
      ...optionsOf(dataSource),
      migrationsRun: false,
      username: 'reader',
    }).initialize();
    const storage = await mariaDb.storage({ dataSource: writing });
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
    await writing.destroy();
  });

  it('a server that is too old, by what it says of itself', () => {
    expect(() => serverOf('10.5.28-MariaDB-log')).toThrow(
      /MariaDB 10\.5\.28-MariaDB-log is too old, it needs 10\.6 or later/,
    );
    expect(() => serverOf('5.7.44')).toThrow(/MySQL 5\.7\.44 is too old, it needs 8\.0\.19 or later/);
    expect(() => serverOf('8.0.18')).toThrow(InvalidOptionsError);
    for (const version of ['10.6.0-MariaDB', '10.11.19-MariaDB-0+deb12u1', '11.8.2-MariaDB'])
      expect(serverOf(version).name).toBe('MariaDB');
    for (const version of ['8.0.19', '8.4.3', '9.1.0-commercial', '8.0.39-30'])
      expect(serverOf(version).name).toBe('MySQL');
  });

  it('to do with a server that is not there', async () => {
    const dataSource = await mariaDb.migrated();
    const elsewhere = {
      isInitialized: true,
      options: { ...dataSource.options, port: 1 },
      hasMetadata: () => false,
    };
    const error = await Promise.resolve(typeOrmStorage({ dataSource: elsewhere as never }).start?.()).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(StorageUnavailableError);
    expect((error as Error).message).toMatch(/did not answer the connection: .*ECONNREFUSED/);
  });
});

describe('a server that writes its binary log by statements', () => {
  const logging = useMariaDb({ args: ['--log-bin=log', '--binlog-format=STATEMENT'] });

  it('is refused, and one that does so by rows is not', async () => {
    const dataSource = await logging.migrated();
    await expect(logging.storage({ dataSource })).rejects.toThrow(
      /binlog_format = STATEMENT.*Set it to MIXED or ROW/,
    );
    await logging.server.asRoot((root) => root.query('set global binlog_format = MIXED'));
    const storage = await logging.storage({ dataSource });
    const { id, request, claim } = newClaim({ leaseMs: 1 });
    await storage.claim(id, request);
    expect(await storage.complete(claim, Buffer.of(1), 60_000)).toBe('applied');
    expect(await storage.claim(id, claimRequest())).toMatchObject({ kind: 'completed' });
  });
});
