import '../patterns/support/both-typeorms.js';
import { describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import {
  createOutbox,
  CreateOutbox1795478400000,
} from '../../libs/idempotency/src/typeorm/migrations/create-outbox.js';
import { MariaDbOutboxEntry } from '../../libs/idempotency/src/typeorm/outbox/mariadb-entry.entity.js';
import { openOutboxTable } from '../../libs/idempotency/src/typeorm/outbox/open-outbox-table.js';
import { OutboxEntry } from '../../libs/idempotency/src/typeorm/outbox/postgres-entry.entity.js';
import { useDatabases } from '../patterns/support/databases.js';
import { benchOver } from './support/outbox-bench.js';

const databases = useDatabases();
const servers = databases.filter(({ name }) => /^(PostgreSQL|MariaDB) /.test(name));

async function migrate(dataSource: DataSource, Migration = createOutbox('outbox_messages')) {
  const runner = dataSource.createQueryRunner();
  await new Migration().up(runner);
  await runner.release();
}

async function migrateBack(dataSource: DataSource) {
  const runner = dataSource.createQueryRunner();
  await new CreateOutbox1795478400000().down(runner);
  await runner.release();
}

describe.each(servers)('the table of the outbox on $name', ({ database, open }) => {
  const isPostgres = database === 'PostgreSQL';
  const Entry = isPostgres ? OutboxEntry : MariaDbOutboxEntry;

  it('is what its entity describes, made by several processes at once, and removed again', async () => {
    const dataSource = await open([Entry], { synchronize: false });
    await Promise.all(Array.from({ length: 3 }, () => migrate(dataSource, CreateOutbox1795478400000)));
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);

    const bench = await benchOver(dataSource);
    const [id] = await bench.add({ aggregate: 'á', payload: '"é"' });
    expect(await dataSource.getRepository(Entry).findOneBy({ id: id! })).toMatchObject({
      aggregate: 'á',
      payload: isPostgres ? '"é"' : '"\\u00e9"',
      attempts: 0,
      owner: null,
      addedAt: expect.any(Date),
      deliveredAt: null,
    });
    await migrateBack(dataSource);
    await expect(openOutboxTable(dataSource, undefined)).rejects.toThrow(
      /there is no table `outbox_messages`/,
    );
  });

  it('works where the schema is synchronized from the entity', async () => {
    const bench = await benchOver(await open([Entry]));
    const ids = await bench.add('a', undefined);
    const { owner, sequences, messages } = await bench.claim();
    expect(messages.map(({ id }) => id)).toEqual(ids);
    const failure = { kind: 'dead', error: 'no' } as const;
    expect(await bench.table.failed(owner, sequences[0]!, failure)).toBe(true);
    expect(await bench.table.delivered(owner, sequences)).toBe(1);
    expect(await bench.table.deadLetters(10)).toMatchObject([{ id: ids[0], attempts: 1, error: 'no' }]);
    expect(await bench.table.decide(ids[0]!, 'discard')).toBe(true);
    expect(await bench.table.purge(0, 10)).toBe(2);
  });

  it('may have another name, and lie in another schema', async () => {
    const dataSource = await open([]);
    const schema = isPostgres
      ? 'app'
      : `app_${String(dataSource.options.database).slice(-12).replaceAll('-', '_')}`;
    await dataSource.query(`create schema ${schema}`);
    await migrate(dataSource, createOutbox(`${schema}.messages`));
    const table = await openOutboxTable(dataSource, `${schema}.messages`);
    expect(await table.counts()).toEqual({ waiting: 0, heldBack: 0, dead: 0, oldestMs: 0 });
  });

  it('is looked at when it is opened: what is wrong with it, and the mend', async () => {
    const dataSource = await open([]);
    const refusal = async (name?: string): Promise<string> => {
      const error: unknown = await openOutboxTable(dataSource, name).catch((one: unknown) => one);
      expect(error).toMatchObject({ code: 'invalid-options' });
      return (error as Error).message;
    };
    expect(await refusal()).toMatch(
      /no table `outbox_messages` \(database .*\)\. Add the migration `CreateOutbox1795478400000`/,
    );
    expect(await refusal('my outbox')).toMatch(
      /^OutboxModule: `table` is 'my outbox'.*'app\.outbox_messages'/,
    );
    expect(await refusal('my_messages')).toMatch(/Add the migration `createOutbox\('my_messages'\)`/);
    await migrate(dataSource, CreateOutbox1795478400000);
    const type = isPostgres ? 'text' : 'varchar(255) collate utf8mb4_general_ci';
    const alter = isPostgres
      ? 'alter column aggregate type text collate "default"'
      : `modify aggregate ${type}`;
    await dataSource.query(`alter table outbox_messages ${alter}`);
    expect(await refusal()).toMatch(/it lacks `aggregate (text C|varbinary\(255\))`/);
    await migrateAgain(dataSource);
    await dataSource.query(
      isPostgres ? 'drop index outbox_messages_id' : 'drop index outbox_messages_id on outbox_messages',
    );
    expect(await refusal()).toMatch(/nothing makes `id` unique/);
    await migrateAgain(dataSource);
    if (!isPostgres) {
      await dataSource.query('drop index outbox_messages_owner on outbox_messages');
      expect(await refusal()).toMatch(/it lacks `index outbox_messages_owner owner`/);
      await migrateAgain(dataSource);
      await dataSource.query('alter table outbox_messages engine = MyISAM');
      expect(await refusal()).toMatch(/kept by MyISAM, which has no transactions/);
    }
  });

  it('is refused on a DataSource that is not open, and says so where it cannot be reached later', async () => {
    const dataSource = await open([]);
    await migrate(dataSource);
    const table = await openOutboxTable(dataSource, undefined);
    await dataSource.query('drop table outbox_messages');
    const failed: unknown = await table.counts().catch((one: unknown) => one);
    expect(failed).toMatchObject({
      code: 'storage-unavailable',
      message: expect.stringMatching(/^The outbox cannot count messages: /),
    });
    await dataSource.destroy();
    await expect(openOutboxTable(dataSource, undefined)).rejects.toThrow(/is not initialized/);
    await dataSource.initialize();
  });
});

it('is refused on SQLite, where a message could vanish by the rollback of another request', async () => {
  const sqlite = databases.find(({ database }) => database === 'SQLite');
  const dataSource = await sqlite!.open([]);
  const refused = { code: 'invalid-options', message: expect.stringContaining(`of type 'better-sqlite3'`) };
  await expect(openOutboxTable(dataSource, undefined)).rejects.toMatchObject(refused);
  await expect(migrate(dataSource)).rejects.toMatchObject(refused);
});

async function migrateAgain(dataSource: DataSource) {
  await migrateBack(dataSource);
  await migrate(dataSource, CreateOutbox1795478400000);
}
