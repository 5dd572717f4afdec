import { describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../../libs/idempotency/src/core/errors.js';
import {
  CreateIdempotencyRecords1795305600000,
  createIdempotencyRecords,
  IdempotencyRecord,
  typeOrmStorage,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
import { listeningHost, newClaim, usePostgres, type PostgresOptions } from '../support/postgres-fixture.js';

const postgres = usePostgres();

/** Everything the catalog knows about a table's columns, constraints and indexes. */
async function schemaOf(dataSource: DataSource, table: string): Promise<unknown> {
  const query = (sql: string): Promise<unknown> => dataSource.query(sql, [table]);
  return {
    columns: await query(
      `select attnum, attname, format_type(atttypid, atttypmod), attnotnull, atthasdef, attstorage, collname
       from pg_attribute left join pg_collation l on l.oid = attcollation
       where attrelid = $1::regclass and attnum > 0 order by attnum`,
    ),
    constraints: await query(
      `select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = $1::regclass order by conname`,
    ),
    indexes: await query(`select indexdef from pg_indexes where tablename = $1 order by indexname`),
  };
}

describe('the table', () => {
  it('is the same from the migration and from the entity, so that `migration:generate` finds nothing to do', async () => {
    const migrated = await postgres.migrated();
    const synchronized = await postgres.empty({ entities: [IdempotencyRecord], synchronize: true });
    const table = 'idempotency_records';
    expect(await schemaOf(synchronized, table)).toEqual(await schemaOf(migrated, table));

    const both = await new DataSource({
      ...(migrated.options as PostgresOptions),
      migrations: [],
      entities: [IdempotencyRecord],
    }).initialize();
    const { upQueries } = await both.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
    await both.destroy();
  });

  it('of the entity is the one that the storage uses, and can be read through it', async () => {
    const dataSource = await postgres.empty({
      entities: [IdempotencyRecord],
      synchronize: true,
      entityPrefix: 'app_',
    });
    const storage = await postgres.storage({ dataSource });
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('done'), 60_000);
    const [record] = await dataSource.getRepository(IdempotencyRecord).find();
    expect(record).toMatchObject({ id, state: 1, attempt: 1, owner: request.ownerToken, fingerprint: 'fp' });
    expect(record?.result?.toString()).toBe('done');
    expect(
      await dataSource.query(`select to_regclass('app_idempotency_records') is not null as there`),
    ).toEqual([{ there: true }]);
  });

  it('is made once by processes that migrate at the same moment, in every transaction mode', async () => {
    for (const migrationsTransactionMode of ['all', 'each', 'none'] as const) {
      const dataSource = await postgres.empty();
      await dataSource.runMigrations();
      const processes = await Promise.all(
        Array.from({ length: 8 }, () =>
          new DataSource({
            ...(dataSource.options as PostgresOptions),
            migrations: [CreateIdempotencyRecords1795305600000, createIdempotencyRecords('second')],
            migrationsTransactionMode,
          }).initialize(),
        ),
      );
      await Promise.all(processes.map((one) => one.runMigrations()));
      await Promise.all([
        postgres.storage({ dataSource }),
        postgres.storage({ dataSource, table: 'second' }),
      ]);
      await Promise.all(processes.map((one) => one.destroy()));
    }
  }, 30_000);

  it('goes to the schema of the DataSource, and is removed again by `down`', async () => {
    const first = await postgres.empty();
    await first.query('create schema app');
    const dataSource = await new DataSource({
      ...(first.options as PostgresOptions),
      schema: 'app',
      migrations: [CreateIdempotencyRecords1795305600000],
    }).initialize();
    await dataSource.runMigrations();
    const there = async () =>
      (await dataSource.query(`select to_regclass('app.idempotency_records') is not null as there`))[0];
    expect(await there()).toEqual({ there: true });
    await postgres.storage({ dataSource });
    await dataSource.undoLastMigration();
    expect(await there()).toEqual({ there: false });
    await dataSource.destroy();
  });
});

describe('start refuses', () => {
  const refusal = async (options: TypeOrmStorageOptions, host = listeningHost()): Promise<string> => {
    const error = await Promise.resolve(typeOrmStorage(options).start?.(host)).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(InvalidOptionsError);
    return (error as Error).message;
  };

  it('a missing table, and says which migration makes it', async () => {
    const dataSource = await postgres.empty();
    expect(await refusal({ dataSource })).toMatch(
      /there is no table `idempotency_records` \(database test_.*, user postgres, search_path .*\)\. Add the migration `CreateIdempotencyRecords1795305600000` from `nestjs-idempotent\/typeorm` .* run it/,
    );
    expect(await refusal({ dataSource, table: 'app.keys' })).toContain(
      `createIdempotencyRecords('app.keys')`,
    );
  });

  it('a table of other columns, and names what it lacks', async () => {
    const dataSource = await postgres.migrated();
    await dataSource.query('alter table idempotency_records drop steps, alter id type varchar(255)');
    expect(await refusal({ dataSource })).toMatch(/it lacks `id text C`, `steps bytea`\. Add the migration/);
  });

  it.each([
    ['compares ids as a language does', 'alter id type text collate "default"', /it lacks `id text C`/],
    ['lets an id come twice', 'drop constraint idempotency_records_pkey', /nothing makes `id` unique/],
  ])('a table that %s', async (_, change, sentence) => {
    const dataSource = await postgres.migrated();
    await dataSource.query(`alter table idempotency_records ${change}`);
    expect(await refusal({ dataSource })).toMatch(sentence);
  });

  it('a table that its user may not write', async () => {
    const dataSource = await postgres.migrated();
    await dataSource.query(`create role reader login`);
    await dataSource.query(`grant select on idempotency_records to reader`);
    const { host, port, database } = dataSource.options as PostgresOptions;
    const reading = await new DataSource({
      type: 'postgres',
      host,
      port,
      database,
      username: 'reader',
    }).initialize();
    expect(await refusal({ dataSource: reading })).toMatch(
      /may not be read and written .*user reader.* Grant SELECT/,
    );
    await reading.destroy();
  });

  it('to do without a DataSource, or with one that is not initialized or of another kind', async () => {
    expect(await refusal({})).toMatch(
      /there is no DataSource\. Give it one as `dataSource`, or import TypeOrmModule/,
    );
    const address = await postgres.server.createDatabase('not_initialized');
    expect(await refusal({ dataSource: new DataSource({ ...address }) })).toMatch(
      /Call `await dataSource.initialize\(\)`/,
    );
    const other = { isInitialized: true, options: { type: 'mssql' } } as unknown as DataSource;
    expect(await refusal({}, listeningHost(other))).toMatch(/of type 'mssql'\. Supported is 'postgres'/);
  });
});

describe('an option of typeOrmStorage that cannot be meant is refused', () => {
  it.each([
    [{ table: 'a b' }, /`table` is 'a b'/],
    [{ table: 'a"; drop table users; --' }, /`table` is/],
    [{ table: 'a.b.c' }, /`table` is 'a\.b\.c'/],
    [{ table: '' }, /`table` is ''/],
    [{ table: 'x'.repeat(60) }, /at most 52/],
    [{ controlConnections: 0 }, /`controlConnections` is 0/],
    [{ controlConnections: 1.5 }, /`controlConnections` is 1\.5/],
    [{ purgeEvery: 0 }, /`purgeEvery` is 0/],
    [{ purgeEvery: '10' }, /`purgeEvery` is '10'/],
    [{ purgeEvery: 86_400_000 }, /`purgeEvery` is 86400000 seconds/],
    [{ tableName: 'x' } as TypeOrmStorageOptions, /no option `tableName`.*`table`/],
    [{ dataSource: { type: 'postgres' } as unknown as DataSource }, /`dataSource` is not a DataSource/],
    [{ dataSource: null as unknown as DataSource }, /`dataSource` is not a DataSource/],
  ])('%j', (options, sentence) => {
    expect(() => typeOrmStorage(options)).toThrow(sentence);
    expect(() => typeOrmStorage(options)).toThrow(InvalidOptionsError);
  });
});
