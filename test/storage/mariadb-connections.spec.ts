import { describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import type { DataSource } from 'typeorm';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { ControlConnections } from '../../libs/idempotency/src/typeorm/mariadb/control-connections.js';
import type { MariaDbOptions } from '../../libs/idempotency/src/typeorm/mariadb/control-options.js';
import { MariaDbRecords, type AskClaim } from '../../libs/idempotency/src/typeorm/mariadb/mariadb-records.js';
import { claimOnMariaDb } from '../../libs/idempotency/src/typeorm/mariadb/mariadb-claim.js';
import { claimOnMySql } from '../../libs/idempotency/src/typeorm/mariadb/mysql-claim.js';
import { typeOrmStorage } from '../../libs/idempotency/src/typeorm/index.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { claimRequest, eventually, newClaim } from '../support/postgres-fixture.js';

const HOUR_MS = 3_600_000;
const settings = { size: 1, preparedStatements: false };
const mariaDb = useMariaDb({
  args: ['--general-log', '--log-output=TABLE', '--performance-schema=on'],
});

/** Whose storage connects as a user of its own, so that the server's log tells its statements from all others. */
async function migratedFor(user: string, more: Partial<MariaDbOptions> = {}): Promise<DataSource> {
  const dataSource = await mariaDb.migrated(more);
  await dataSource.query(`create user if not exists ??`.replace('??', user));
  await dataSource.query(`grant all on *.* to ${user}`);
  return {
    isInitialized: true,
    options: { ...dataSource.options, username: user },
    hasMetadata: () => false,
    query: (sql: string) => dataSource.query(sql),
  } as unknown as DataSource;
}

/** What the server was asked by that user, without what each new connection is told. */
function statementsOf(user: string): Promise<readonly string[]> {
  return mariaDb.server.asRoot(async (root) => {
    const [rows] = await root.query(
      `select convert(argument using utf8mb4) as sql_text from mysql.general_log
       where user_host like concat(?, '[%') and command_type in ('Query', 'Execute')
         and argument not like 'set session time_zone%'`,
      [user],
    );
    return (rows as { sql_text: string }[]).map((row) => row.sql_text);
  });
}

function connectionsOf(user: string): Promise<readonly unknown[]> {
  return mariaDb.server.asRoot(async (root) => {
    const [rows] = await root.query('select id from information_schema.processlist where user = ?', [user]);
    return rows as unknown[];
  });
}

/** How an operator tells them from those of the application. */
function programsOf(user: string): Promise<readonly unknown[]> {
  return mariaDb.server.asRoot(async (root) => {
    const [rows] = await root.query(
      `select attr_value as program from performance_schema.session_connect_attrs a
       join information_schema.processlist p on p.id = a.processlist_id
       where p.user = ? and attr_name = 'program_name'`,
      [user],
    );
    return (rows as { program: string }[]).map(({ program }) => program);
  });
}

describe('the storage asks MariaDB', () => {
  it.each([false, true])(
    'two statements for a first request and one for a replay (prepared: %p)',
    async (preparedStatements) => {
      const user = `counted_${preparedStatements}`;
      const storage = await mariaDb.storage({ dataSource: await migratedFor(user), preparedStatements });
      for (let round = 0; round < 3; round += 1) {
        const { id, request, claim } = newClaim();
        const before = (await statementsOf(user)).length;
        await storage.claim(id, request);
        await storage.complete(claim, Buffer.from('done'), HOUR_MS);
        const afterFirst = await statementsOf(user);
        expect(afterFirst.slice(before)).toHaveLength(2);
        await storage.claim(id, claimRequest());
        const afterReplay = await statementsOf(user);
        expect(afterReplay.slice(afterFirst.length)).toEqual([expect.stringMatching(/^begin not atomic/)]);
      }
    },
  );

  it('one statement for a takeover, a step, a release and a claim that is undone', async () => {
    const user = 'counted_others';
    const storage = await mariaDb.storage({ dataSource: await migratedFor(user) });
    const { id, request, claim } = newClaim();
    const again = newClaim();
    await storage.claim(id, request);
    const before = (await statementsOf(user)).length;
    await storage.saveStep(claim, 'a', Buffer.of(1));
    await storage.release(claim, { forget: false });
    await storage.claim(id, again.request);
    await storage.release({ id, ownerToken: again.request.ownerToken }, { forget: true });
    expect((await statementsOf(user)).slice(before)).toHaveLength(4);
  });

  it('one statement for the leases of a hundred claims', async () => {
    const user = 'renewing';
    const storage = await mariaDb.storage({ dataSource: await migratedFor(user) });
    const claims = Array.from({ length: 100 }, () => newClaim());
    for (const { id, request } of claims) await storage.claim(id, request);
    const before = (await statementsOf(user)).length;
    await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    expect((await statementsOf(user)).slice(before)).toHaveLength(1);
  });

  it('nothing that writes for a replay', async () => {
    const storage = await mariaDb.storage({ dataSource: await mariaDb.migrated() });
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('done'), HOUR_MS);
    const replays = async () => {
      for (let time = 0; time < 20; time += 1) await storage.claim(id, claimRequest());
      await storage.claim(id, claimRequest({ fingerprint: 'other' }));
    };
    // The server has chores of its own, which must not fall into every round.
    await eventually(async () => expect(await logWrittenBy(replays)).toBe(0));
    await expect(logWrittenBy(() => storage.claim(newClaim().id, claimRequest()))).resolves.toBeGreaterThan(
      0,
    );
  });

  /** Bytes of InnoDB's redo log. */
  async function logWrittenBy(work: () => Promise<unknown>): Promise<number> {
    const position = () =>
      mariaDb.server.asRoot(async (root) => {
        const [rows] = await root.query(`show global status like 'Innodb_lsn_current'`);
        return Number((rows as { Value: string }[])[0]?.Value);
      });
    const before = await position();
    await work();
    return (await position()) - before;
  }
});

describe("the storage's own connections to MariaDB", () => {
  it('answer while handlers hold every connection of the application', async () => {
    const dataSource = await mariaDb.migrated({ poolSize: 2 });
    const storage = await mariaDb.storage({ dataSource });
    const handlers = [1, 2].map(() => dataSource.transaction((manager) => manager.query('select sleep(2)')));
    const times: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const { id, request, claim } = newClaim();
      const start = performance.now();
      await storage.claim(id, request);
      await storage.renew([{ claim, leaseMs: HOUR_MS }]);
      await storage.complete(claim, Buffer.from('done'), HOUR_MS);
      times.push(performance.now() - start);
    }
    expect(Math.min(...times)).toBeLessThan(200);
    await Promise.all(handlers);
  });

  it('are as many as `controlConnections` at most, and gone after stop; start opens others', async () => {
    const user = 'pooled';
    const dataSource = await migratedFor(user);
    const storage = await mariaDb.storage({ dataSource, controlConnections: 3 });
    await Promise.all(Array.from({ length: 40 }, () => storage.claim(newClaim().id, claimRequest())));
    expect(await connectionsOf(user)).toHaveLength(3);
    expect(await programsOf(user)).toEqual(Array(3).fill('nestjs-idempotent'));
    await storage.stop?.();
    await eventually(async () => expect(await connectionsOf(user)).toEqual([]));
    await expect(storage.get('any')).rejects.toBeInstanceOf(StorageUnavailableError);
    await storage.start?.();
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  });

  it('are gone when start has failed', async () => {
    const user = 'failing';
    const dataSource = await migratedFor(user);
    await dataSource.query('drop table idempotency_records');
    const storage = typeOrmStorage({ dataSource });
    await expect(storage.start?.()).rejects.toThrow(/no table/);
    await eventually(async () => expect(await connectionsOf(user)).toEqual([]));
    await expect(storage.get('any')).rejects.toThrow(/not started/);
    await storage.stop?.();
  });

  it('come back after the server has ended them', async () => {
    const user = 'killed';
    const storage = await mariaDb.storage({ dataSource: await migratedFor(user) });
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 10 }, () => storage.claim(newClaim().id, claimRequest())));
      await mariaDb.server.asRoot((root) => root.query(`kill user ${user}`));
      await eventually(() => storage.get('any'));
    }
  });

  it('ask again where the server has undone a statement for a deadlock, a few times', async () => {
    const { options } = await mariaDb.migrated();
    const connections = await ControlConnections.open(options as MariaDbOptions, settings);
    const victim = (times: number) => `begin not atomic
      set @asked = coalesce(@asked, 0) + 1;
      if @asked <= ${times} then signal sqlstate '40001' set mysql_errno = 1213; end if;
      select @asked as asked;
    end`;
    const { rows } = await connections.query({ name: 'victim', sql: victim(3) }, []);
    expect(Number(rows[0]?.['asked'])).toBe(4);
    await expect(connections.query({ name: 'victim', sql: victim(1000) }, [])).rejects.toMatchObject({
      code: 'storage-unavailable',
      message: expect.stringMatching(/^typeOrmStorage: MariaDB did not answer `victim`/),
    });
    await connections.close();
  });

  it('prepare each statement once per connection, however many calls there are', async () => {
    const user = 'preparing';
    const storage = await mariaDb.storage({ dataSource: await migratedFor(user), preparedStatements: true });
    const prepared = () =>
      mariaDb.server.asRoot(async (root) => {
        const [rows] = await root.query(`show global status like 'Prepared_stmt_count'`);
        return Number((rows as { Value: string }[])[0]?.Value);
      });
    const round = async () => {
      const { id, request, claim } = newClaim();
      await storage.claim(id, request);
      await storage.saveStep(claim, id, Buffer.from(id));
      await storage.renew([{ claim, leaseMs: HOUR_MS }]);
      await storage.complete(claim, Buffer.from(id), HOUR_MS);
      await storage.get(id);
    };
    await Promise.all(Array.from({ length: 20 }, round));
    const before = await prepared();
    await Promise.all(Array.from({ length: 200 }, round));
    expect(before).toBeGreaterThan(0);
    expect(await prepared()).toBe(before);
  });

  it('say what is wrong where the server prepares no more statements, and work when it does again', async () => {
    const dataSource = await mariaDb.migrated();
    const storage = await mariaDb.storage({ dataSource });
    const limit = (most: number) =>
      mariaDb.server.asRoot((root) => root.query(`set global max_prepared_stmt_count = ${most}`));
    await limit(0);
    try {
      await expect(mariaDb.storage({ dataSource, preparedStatements: true })).rejects.toThrow(
        /max_prepared_stmt_count/,
      );
      expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
    } finally {
      await limit(16_382);
    }
    const preparing = await mariaDb.storage({ dataSource, preparedStatements: true });
    expect(await preparing.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  });

  it('reach the primary alone when reads are replicated', async () => {
    const { host, port, username, database } = (await mariaDb.migrated()).options as never as Record<
      string,
      never
    >;
    const primary = { host, port, username, database };
    const replica = { ...primary, database: 'mysql' };
    const dataSource = await mariaDb.empty({ replication: { master: primary, slaves: [replica] } });
    const storage = await mariaDb.storage({ dataSource });
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  });

  it('do not take over what the application has set for its own', async () => {
    const { options } = await mariaDb.migrated();
    const theirs = {
      ...{ charset: 'latin1', timezone: '+09:00', dateStrings: true, supportBigNumbers: false },
      extra: {
        ...{ connectionLimit: 7, rowsAsArray: true, namedPlaceholders: true, flags: ['-FOUND_ROWS'] },
        ...{ typeCast: () => 'nothing', multipleStatements: true, queueLimit: 1 },
      },
    };
    const connections = await ControlConnections.open({ ...options, ...theirs } as MariaDbOptions, settings);
    const sql = `select @@time_zone as zone, @@sql_mode as mode, @@tx_isolation as isolation, @@autocommit as autocommit,
      @@innodb_lock_wait_timeout as locks, @@max_statement_time as seconds`;
    const asked = Promise.all(
      Array.from({ length: 5 }, () =>
        connections.query({ name: 'show', sql }, []).then(({ rows }) => rows[0]),
      ),
    );
    for (const shown of await asked) {
      expect(shown).toMatchObject({
        zone: '+00:00',
        isolation: 'READ-COMMITTED',
        autocommit: '1',
        locks: '1',
      });
      expect(Number(shown?.['seconds'])).toBe(5);
      expect(shown?.['mode']).toBe('STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION');
    }
    await connections.close();
  });

  it.each(['MariaDB', 'MySQL'])(
    'find every row by an index, however large the table is (%s)',
    async (server) => {
      const dataSource = await mariaDb.migrated();
      await dataSource.query(
        `insert into idempotency_records (id, state, attempt, previous, fingerprint, created_at, lease_until, expires_at)
       select concat('id-', seq), 0, 1, 0, '', 0, 0, 9e15 from seq_1_to_20000`,
      );
      await dataSource.query('analyze table idempotency_records');
      const connections = await ControlConnections.open(dataSource.options as MariaDbOptions, settings);
      const readRows = async () => {
        const sql = `show session status where variable_name in ('Handler_read_next', 'Handler_read_rnd_next', 'Handler_read_key', 'Handler_read_prev', 'Handler_read_first', 'Handler_read_last')`;
        const { rows } = await connections.query({ name: 'status', sql }, []);
        return rows.reduce((sum, row) => sum + Number(row['Value']), 0);
      };
      const askClaim: AskClaim = server === 'MySQL' ? claimOnMySql : claimOnMariaDb;
      const records = new MariaDbRecords(connections, askClaim, {
        schema: undefined,
        name: 'idempotency_records',
      });
      const taken = { id: 'id-1', ownerToken: claimRequest().ownerToken };
      const calls: Record<string, () => Promise<unknown>> = {
        fresh: () => records.claim('fresh', claimRequest()),
        takeover: () =>
          records.claim('id-1', claimRequest({ fingerprint: '', ownerToken: taken.ownerToken })),
        renew: () => records.renew(Array(100).fill({ claim: taken, leaseMs: HOUR_MS })),
        saveStep: () => records.saveStep(taken, Buffer.of(1)),
        get: () => records.get('id-1'),
        release: () => records.release(taken),
        complete: () => records.complete(taken, Buffer.of(1), HOUR_MS),
        undoClaim: () => records.undoClaim(taken),
        forget: () => records.forget('id-2'),
        find: async () => {
          for await (const row of records.find({ idPrefix: 'id-1999' })) void row;
        },
        purge: () => records.purge(500),
      };
      const read: Record<string, number> = {};
      for (const [name, call] of Object.entries(calls)) {
        const before = await readRows();
        await call();
        read[name] = (await readRows()) - before;
      }
      // What asking for the counts reads is in it; a look at every row would be 20,000.
      for (const rows of Object.values(read)) expect(rows).toBeLessThan(1500);
      await connections.close();
    },
  );
});
