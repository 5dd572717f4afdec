import './support/both-typeorms.js';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { CommandReusedError } from 'nestjs-idempotent';
import {
  appendOperation,
  createOperationLog,
  CreateOperationLog1795392000000,
  MariaDbOperationLogEntry,
  OperationLogEntry,
  type LoggedOperation,
  type OperationCommand,
} from 'nestjs-idempotent/typeorm';
import type { DataSource, Repository } from 'typeorm';
import { useDatabases } from './support/databases.js';

const databases = useDatabases();
const command = (more: Partial<OperationCommand> = {}): OperationCommand => ({
  commandId: randomUUID(),
  command: 'pay-order',
  content: { order: 'o-1', amount: 1999 },
  ...more,
});

describe.each(databases.filter(({ database }) => database !== 'SQLite'))(
  'the operation log on $name',
  ({ database, open }) => {
    const isPostgres = database === 'PostgreSQL';
    let dataSource: DataSource;
    let log: Repository<LoggedOperation>;
    beforeAll(async () => {
      const Entry = isPostgres ? OperationLogEntry : MariaDbOperationLogEntry;
      dataSource = await open([Entry], {
        synchronize: false,
        migrations: [CreateOperationLog1795392000000],
        migrationsRun: true,
      });
      log = dataSource.getRepository<LoggedOperation>(Entry);
    });

    it('answers a command that it has by its first entry', async () => {
      const given = command({ scope: 'ada', content: { note: 'a\u0000b 👍', lines: [1, null] } });
      const first = await appendOperation(log, given);
      const again = await appendOperation(log, {
        ...given,
        content: { lines: [1, null], note: 'a\u0000b 👍' },
      });

      expect(first.appended).toBe(true);
      expect(first.entry).toMatchObject(given);
      expect(first.entry.appendedAt).toBeInstanceOf(Date);
      expect(Math.abs(first.entry.appendedAt.getTime() - Date.now())).toBeLessThan(60_000);
      expect(again).toEqual({ entry: first.entry, appended: false });
    });

    it('refuses a command id for another command or another content', async () => {
      const given = command();
      await appendOperation(log, given);

      for (const other of [{ content: { order: 'o-1', amount: 1 } }, { command: 'refund-order' }]) {
        const refused: unknown = await appendOperation(log, { ...given, ...other }).catch(
          (error: unknown) => error,
        );
        expect(refused).toBeInstanceOf(CommandReusedError);
        expect(refused).toMatchObject({ code: 'command-reused', statusCode: 422 });
      }
      expect((await appendOperation(log, { ...given, scope: 'eve', content: 'other' })).appended).toBe(true);
      expect(await log.countBy({ commandId: given.commandId })).toBe(2);
    });

    it('appends one of fifty that come at the same moment, and all get it', async () => {
      const given = command();
      const fifty = await Promise.all(Array.from({ length: 50 }, () => appendOperation(log, given)));

      expect(fifty.filter(({ appended }) => appended)).toHaveLength(1);
      expect(new Set(fifty.map(({ entry }) => entry.sequence)).size).toBe(1);
    });

    it('is ordered by its sequence', async () => {
      const [first, second] = [await appendOperation(log, command()), await appendOperation(log, command())];
      expect(BigInt(second.entry.sequence)).toBeGreaterThan(BigInt(first.entry.sequence));
    });

    it('has the entry if the transaction around it is committed, and only then', async () => {
      const given = command();
      const rolledBack = dataSource.transaction(async (manager) => {
        expect((await appendOperation(manager.withRepository(log), given)).appended).toBe(true);
        throw new Error('not after all');
      });
      await expect(rolledBack).rejects.toThrow('not after all');
      expect((await appendOperation(log, given)).appended).toBe(true);
    });

    it('lets nobody change or delete an entry', async () => {
      const { entry } = await appendOperation(log, command());
      const { sequence } = entry;

      await expect(log.update({ sequence }, { command: 'nothing' })).rejects.toThrow(
        /operation_log is append-only: update is refused/,
      );
      await expect(log.delete({ sequence })).rejects.toThrow(
        /operation_log is append-only: delete is refused/,
      );
      if (isPostgres) {
        await expect(dataSource.query('truncate operation_log')).rejects.toThrow(/truncate is refused/);
      }
      expect(await log.findOneBy({ sequence })).toEqual(entry);
    });

    it('lets old entries go when that is said in words', async () => {
      const { entry } = await appendOperation(log, command());
      const runner = dataSource.createQueryRunner();
      await runner.startTransaction();
      const allow = isPostgres
        ? `set local idempotency.delete_from = 'operation_log'`
        : `set @\`idempotency.delete_from\` = 'operation_log'`;
      await runner.query(allow);
      const mine = runner.manager.withRepository(log);
      await mine.delete({ sequence: entry.sequence });
      await runner.commitTransaction();
      await runner.query(isPostgres ? 'select 1' : 'set @`idempotency.delete_from` = null');
      await expect(
        mine.delete({ commandId: (await appendOperation(mine, command())).entry.commandId }),
      ).rejects.toThrow(/delete is refused/);
      await runner.release();

      expect(await log.findOneBy({ sequence: entry.sequence })).toBeNull();
    });

    it('has the table that its entity describes', async () => {
      const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
      expect(upQueries.map(({ query }) => query)).toEqual([]);
    });

    it('may be made by several processes at once, under other names too, and be removed again', async () => {
      const Migration = createOperationLog('commands_of_users');
      const migrations = [new Migration(), new Migration()];
      const runners = migrations.map(() => dataSource.createQueryRunner());
      await Promise.all(migrations.map((migration, at) => migration.up(runners[at]!)));
      await expect(dataSource.query('delete from commands_of_users')).resolves.toBeDefined();

      await migrations[0]!.down(runners[0]!);
      await expect(dataSource.query('select 1 from commands_of_users')).rejects.toThrow();
      await Promise.all(runners.map((runner) => runner.release()));
    });

    it.each<[string, Partial<OperationCommand>]>([
      ['`commandId` cannot be used: it is empty', { commandId: '' }],
      ['`scope` must be a string of at most 255 bytes', { scope: 'ada ' }],
      ['`command` must say what is commanded', { command: '' }],
      ['`content` must be plain data', { content: new Date() }],
    ])('refuses what it could not compare: %s', async (message, wrong) => {
      await expect(appendOperation(log, command(wrong))).rejects.toMatchObject({
        code: 'invalid-options',
        message: expect.stringContaining(message),
      });
    });
  },
);

it('CreateOperationLog refuses SQLite, where nothing would keep entries from being changed', async () => {
  const sqlite = databases.find(({ database }) => database === 'SQLite');
  const dataSource = await sqlite!.open([]);
  const up = new CreateOperationLog1795392000000().up(dataSource.createQueryRunner());
  await expect(up).rejects.toMatchObject({
    code: 'invalid-options',
    message: expect.stringContaining(`of type 'better-sqlite3'`),
  });
});
