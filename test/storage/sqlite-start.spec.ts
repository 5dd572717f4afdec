import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Column, DataSource, Entity, PrimaryColumn } from 'typeorm';
import { InvalidOptionsError } from '../../libs/idempotency/src/core/errors.js';
import {
  CreateIdempotencyRecords1795305600000,
  createIdempotencyRecords,
  SqliteIdempotencyRecord,
  typeOrmStorage,
  type TypeOrmStorageOptions,
} from '../../libs/idempotency/src/typeorm/index.js';
import { listeningHost, newClaim } from '../support/postgres-fixture.js';
import { useSqlite } from '../support/sqlite-fixture.js';

const sqlite = useSqlite();

@Entity('orders')
class Order {
  @PrimaryColumn('integer')
  id!: number;

  @Column('text')
  sku!: string;
}

const refusal = async (options: TypeOrmStorageOptions, host = listeningHost()): Promise<string> => {
  const error = await Promise.resolve(typeOrmStorage(options).start?.(host)).catch(
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return (error as Error).message;
};

describe('on SQLite start refuses to share what is the application’s', () => {
  const why = /SQLite lets one transaction write at a time.* Give the records a file of their own/;

  it('the DataSource that it finds by itself, and the same one handed over', async () => {
    const dataSource = await sqlite.migrated();
    const host = listeningHost(dataSource);
    const own = /the DataSource of type 'better-sqlite3' is the application's own\./;
    for (const options of [{}, { dataSource }]) {
      const message = await refusal(options, host);
      expect(message).toMatch(own);
      expect(message).toMatch(why);
    }
    await (await sqlite.storage({ dataSource })).get('of its own');
  });

  it('the file of the application’s DataSource, by whatever path', async () => {
    const applications = await sqlite.migrated();
    const file = String(applications.options.database);
    const dataSource = await sqlite.empty({ database: file.replace(/\/([^/]+)$/, '/./$1') });
    const message = await refusal({ dataSource }, listeningHost(applications));
    expect(message).toContain('uses the same file');
    expect(message).toMatch(why);
  });

  it('a DataSource that has entities of the application', async () => {
    const dataSource = await sqlite.migrated({ entities: [Order, SqliteIdempotencyRecord] });
    const message = await refusal({ dataSource });
    expect(message).toContain('has entities of the application (`Order`)');
    expect(message).toMatch(why);
  });

  it('a file with tables of the application, whoever opened it, and leaves that file as it is', async () => {
    const applications = await sqlite.empty({ entities: [Order], synchronize: true });
    const dataSource = await sqlite.migrated({ database: String(applications.options.database) });
    const message = await refusal({ dataSource }, listeningHost(applications));
    expect(message).toMatch(/uses the same file/);
    const withoutHost = await refusal({ dataSource });
    expect(withoutHost).toMatch(/the file \/.*\.db has tables of the application \(`orders`\)/);
    expect(withoutHost).toMatch(why);
    expect(await applications.query('pragma journal_mode')).toEqual([{ journal_mode: 'delete' }]);
  });

  it('but not another table of records, nor TypeORM’s own tables', async () => {
    const dataSource = await sqlite.empty({
      migrations: [CreateIdempotencyRecords1795305600000, createIdempotencyRecords('second')],
      migrationsTableName: 'done',
      migrationsRun: true,
    });
    for (const table of [undefined, 'second']) await sqlite.storage({ dataSource, ...(table && { table }) });
  });
});

describe('on SQLite start refuses', () => {
  it.each([':memory:', ''])('a database in memory: %j', async (database) => {
    const dataSource = await sqlite.migrated({ database });
    expect(await refusal({ dataSource })).toMatch(/keeps its database in memory .* use memoryStorage\(\)/);
  });

  it('a DataSource that may only read', async () => {
    const written = await sqlite.migrated();
    const dataSource = await sqlite.empty({ database: String(written.options.database), readonly: true });
    expect(await refusal({ dataSource })).toMatch(/is `readonly`/);
  });

  it('a missing table, and says which migration makes it', async () => {
    const dataSource = await sqlite.empty();
    expect(await refusal({ dataSource })).toMatch(
      /there is no table `idempotency_records` in \/.*\.db\. Add the migration `CreateIdempotencyRecords1795305600000` from `nestjs-idempotent\/typeorm`/,
    );
    expect(await refusal({ dataSource, table: 'keys' })).toContain(`createIdempotencyRecords('keys')`);
  });

  it('a table of other columns, and names what it lacks', async () => {
    const dataSource = await sqlite.migrated();
    await dataSource.query('alter table idempotency_records drop column steps_found');
    expect(await refusal({ dataSource })).toMatch(/it lacks `steps_found integer`\. Add the migration/);
  });

  it.each([
    ['lets an id come twice', 'id text not null'],
    ['compares ids without regard to case', 'id text collate nocase primary key not null'],
  ])('a table that %s', async (_, id) => {
    const dataSource = await sqlite.empty();
    await dataSource.query(`create table idempotency_records (${id}, state integer, attempt integer, previous integer,
      owner text, owner_found text, fingerprint text, created_at integer, lease_until integer, expires_at integer,
      steps_found integer, steps blob, result blob)`);
    expect(await refusal({ dataSource })).toMatch(/nothing makes `id` unique, byte for byte/);
  });

  it('a schema, and prepared statements, which are no choice there', async () => {
    const dataSource = await sqlite.migrated();
    expect(await refusal({ dataSource, table: 'app.records' })).toMatch(
      /SQLite has no schemas\. Leave 'app\.' out/,
    );
    expect(await refusal({ dataSource, preparedStatements: true })).toMatch(
      /`preparedStatements` has no meaning/,
    );
  });

  it.each([
    ['sqlite', /install it, and give a DataSource of type 'better-sqlite3'/],
    ['sqljs', /in the memory of this process .* Use type 'better-sqlite3'/],
  ])('a DataSource of type %j', async (type, sentence) => {
    const dataSource = { isInitialized: true, options: { type } } as unknown as DataSource;
    expect(await refusal({ dataSource })).toMatch(sentence);
  });
});

describe('the migration of several processes on SQLite', () => {
  let processes: readonly ChildProcess[] = [];
  beforeAll(async () => {
    processes = Array.from({ length: 3 }, () =>
      fork('./test/support/sqlite-migrate-process.ts', {
        execArgv: ['--disable-warning=ExperimentalWarning', '--import', './test/support/ts-hooks.mjs'],
      }),
    );
    await Promise.all(processes.map((one) => once(one, 'message')));
  }, 120_000);
  afterAll(async () => {
    const exits = processes.map((one) => once(one, 'exit'));
    for (const one of processes) one.disconnect();
    await Promise.all(exits);
  });

  /** Resolves with `done`, or with why it failed. */
  const migratedBy = async (process: ChildProcess | undefined, file: string): Promise<string> => {
    assert.ok(process);
    const told = once(process, 'message');
    process.send(file);
    const [outcome] = (await told) as [string];
    return outcome;
  };
  const migratedByAll = (file: string) => Promise.all(processes.map((one) => migratedBy(one, file)));
  const allDone = ['done', 'done', 'done'];

  it('makes the table once, at the same moment', async () => {
    for (let round = 0; round < 20; round += 1) {
      const dataSource = await sqlite.empty();
      // Makes the table in which TypeORM keeps its books.
      await dataSource.runMigrations();
      expect(await migratedByAll(String(dataSource.options.database))).toEqual(allDone);
      const storage = await sqlite.storage({ dataSource });
      const { id, request } = newClaim();
      expect(await storage.claim(id, request)).toMatchObject({ kind: 'claimed' });
    }
  }, 120_000);

  it.each(['delete', 'wal'])('waits for another that has the file locked (journal mode %s)', async (mode) => {
    const dataSource = await sqlite.empty();
    await dataSource.query(`pragma journal_mode = ${mode}`);
    await dataSource.runMigrations();
    await new CreateIdempotencyRecords1795305600000().up(dataSource.createQueryRunner());
    await dataSource.query('begin immediate');
    const outcome = migratedBy(processes[0], String(dataSource.options.database));
    // SQLite waits in the other process, and shows it to nobody.
    await sleep(300);
    await dataSource.query('commit');
    expect(await outcome).toBe('done');
  });

  it('of a new file fails for TypeORM’s own table alone, and when started again does not', async () => {
    for (let round = 0; round < 20; round += 1) {
      const file = sqlite.path();
      const outcomes = await migratedByAll(file);
      expect(outcomes).toContain('done');
      for (const outcome of outcomes) expect(outcome).toMatch(/^done$|table "migrations" already exists/);
      expect(await migratedByAll(file)).toEqual(allDone);
      await sqlite.storage({ dataSource: await sqlite.empty({ database: file }) });
    }
  }, 120_000);
});

describe('the table on SQLite', () => {
  const schemaOf = async (dataSource: DataSource): Promise<unknown> => ({
    columns: await dataSource.query(
      `select name, lower(type) as type, "notnull", pk from pragma_table_info('idempotency_records')`,
    ),
    indexes: await dataSource.query(
      `select l.name, l."unique", c.name as column, c.coll from pragma_index_list('idempotency_records') l
       join pragma_index_xinfo(l.name) c where c.key = 1 order by l.name`,
    ),
  });

  it('is the same from the migration and from the entity, so that `migration:generate` finds nothing to do', async () => {
    const migrated = await sqlite.migrated();
    const synchronized = await sqlite.empty({ entities: [SqliteIdempotencyRecord], synchronize: true });
    expect(await schemaOf(synchronized)).toEqual(await schemaOf(migrated));
    const both = await sqlite.empty({
      database: String(migrated.options.database),
      entities: [SqliteIdempotencyRecord],
    });
    const { upQueries } = await both.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });

  it('refuses rows that make no sense, from the migration and from the entity', async () => {
    for (const dataSource of [
      await sqlite.migrated(),
      await sqlite.empty({ entities: [SqliteIdempotencyRecord], synchronize: true }),
    ]) {
      const storage = await sqlite.storage({ dataSource });
      const { id, request } = newClaim();
      await storage.claim(id, request);
      for (const change of ['state = 7', 'state = 1', `result = x''`, 'attempt = 0']) {
        await expect(dataSource.query(`update idempotency_records set ${change}`)).rejects.toThrow(
          /CHECK constraint failed: idempotency_records_state/,
        );
      }
    }
  });

  it('of the entity is the one that the storage uses, and can be read through it', async () => {
    const dataSource = await sqlite.empty({
      entities: [SqliteIdempotencyRecord],
      synchronize: true,
      entityPrefix: 'app_',
    });
    const storage = await sqlite.storage({ dataSource });
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('done'), 60_000);
    const [record] = await dataSource.getRepository(SqliteIdempotencyRecord).find();
    expect(record).toMatchObject({ id, state: 1, attempt: 1, owner: request.ownerToken, fingerprint: 'fp' });
    expect(record?.result?.toString()).toBe('done');
    expect(Math.abs(Date.now() - Number(record?.createdAt))).toBeLessThan(10_000);
  });

  it('is removed again by `down`', async () => {
    const dataSource = await sqlite.migrated();
    await dataSource.undoLastMigration();
    expect(await refusal({ dataSource })).toMatch(/there is no table/);
  });
});
