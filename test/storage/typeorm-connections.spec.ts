import { afterEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { performance } from 'node:perf_hooks';
import { DataSource } from 'typeorm';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { ControlConnections } from '../../libs/idempotency/src/typeorm/postgres/control-connections.js';
import type { Statements } from '../../libs/idempotency/src/typeorm/postgres/postgres-records.js';
import * as statements from '../../libs/idempotency/src/typeorm/postgres/statements.js';
import { typeOrmStorage } from '../../libs/idempotency/src/typeorm/index.js';
import {
  claimRequest,
  eventually,
  listeningHost,
  newClaim,
  usePostgres,
  type PostgresOptions,
} from '../support/postgres-fixture.js';

const HOUR_MS = 3_600_000;
const settings = { size: 1, preparedStatements: false, warn: () => undefined };
const postgres = usePostgres({ args: ['-c', 'log_statement=all', '-c', 'log_line_prefix=%a|'] });

/** What the server was asked over the storage's own connections of an application of that name. */
function statementsOf(application: string): readonly string[] {
  const own = `${application} (nestjs-idempotent)|LOG:  `;
  return postgres.server
    .log()
    .split('\n')
    .filter((line) => line.startsWith(own) && /(execute|statement)/.test(line));
}

async function connectionsOf(dataSource: DataSource): Promise<readonly string[]> {
  const rows: { application_name: string }[] = await dataSource.query(
    `select application_name from pg_stat_activity where datname = current_database() and application_name like '%nestjs-idempotent%'`,
  );
  return rows.map(({ application_name }) => application_name);
}

describe('the storage asks PostgreSQL', () => {
  it.each([false, true])(
    'two statements for a first request and one for a replay (prepared: %p)',
    async (preparedStatements) => {
      const applicationName = `counted-${preparedStatements}`;
      const dataSource = await postgres.migrated({ applicationName });
      const storage = await postgres.storage({ dataSource, preparedStatements });
      for (let round = 0; round < 3; round += 1) {
        const { id, request, claim } = newClaim();
        const before = statementsOf(applicationName).length;
        await storage.claim(id, request);
        await storage.complete(claim, Buffer.from('done'), HOUR_MS);
        const afterFirst = statementsOf(applicationName);
        expect(afterFirst.slice(before)).toHaveLength(2);
        await storage.claim(id, claimRequest());
        const afterReplay = statementsOf(applicationName);
        expect(afterReplay.slice(afterFirst.length)).toHaveLength(1);
        const name = preparedStatements
          ? /execute idempotency_claim_[0-9a-f]{16}: with found/
          : /execute <unnamed>: with found/;
        expect(afterReplay.at(-1)).toMatch(name);
      }
    },
  );

  it('nothing that writes for a replay', async () => {
    const dataSource = await postgres.migrated();
    const storage = await postgres.storage({ dataSource });
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('done'), HOUR_MS);
    const state = (): Promise<unknown> =>
      dataSource.query(
        'select pg_current_wal_insert_lsn(), r.ctid, r.xmin, r.xmax from idempotency_records r',
      );
    const before = await state();
    for (let time = 0; time < 20; time += 1) await storage.claim(id, claimRequest());
    await storage.claim(id, claimRequest({ fingerprint: 'other' }));
    expect(await state()).toEqual(before);
  });

  it('one statement for the leases of a hundred claims', async () => {
    const dataSource = await postgres.migrated({ applicationName: 'renewing' });
    const storage = await postgres.storage({ dataSource });
    const claims = Array.from({ length: 100 }, () => newClaim());
    for (const { id, request } of claims) await storage.claim(id, request);
    const before = statementsOf('renewing').length;
    await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    expect(statementsOf('renewing').slice(before)).toHaveLength(1);
  });
});

describe("the storage's own connections", () => {
  it('answer while handlers hold every connection of the application', async () => {
    const dataSource = await postgres.migrated({ poolSize: 2 });
    const storage = await postgres.storage({ dataSource });
    const handlers = [1, 2].map(() =>
      dataSource.transaction((manager) => manager.query('select pg_sleep(2)')),
    );
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

  it('are as many as `controlConnections` at most, carry a name, and are gone after stop', async () => {
    const dataSource = await postgres.migrated({ applicationName: 'orders' });
    const storage = await postgres.storage({ dataSource, controlConnections: 3 });
    await Promise.all(Array.from({ length: 40 }, () => storage.claim(newClaim().id, claimRequest())));
    expect(await connectionsOf(dataSource)).toEqual(Array(3).fill('orders (nestjs-idempotent)'));
    await storage.stop?.();
    await eventually(async () => expect(await connectionsOf(dataSource)).toEqual([]));
    expect(dataSource.isInitialized).toBe(true);
    await expect(storage.get('any')).rejects.toBeInstanceOf(StorageUnavailableError);
    await storage.start?.();
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  });

  it('are gone when start has failed, and start may be tried again', async () => {
    const dataSource = await postgres.empty();
    const storage = typeOrmStorage({ dataSource });
    await expect(storage.start?.()).rejects.toThrow(/no table/);
    await eventually(async () => expect(await connectionsOf(dataSource)).toEqual([]));
    await expect(storage.get('any')).rejects.toThrow(/not started/);
    await storage.stop?.();
  });

  it('come back after the server has ended them', async () => {
    const dataSource = await postgres.migrated();
    const storage = await postgres.storage({ dataSource });
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 10 }, () => storage.claim(newClaim().id, claimRequest())));
      await dataSource.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'nestjs%'`,
      );
      await eventually(() => storage.get('any'));
    }
  });

  it('find every row by an index, however large the table is', async () => {
    const dataSource = await postgres.migrated();
    await dataSource.query(
      `insert into idempotency_records (id, state, attempt, previous, fingerprint, created_at, lease_until, expires_at)
       select 'id-' || i, 0, 1, 0, '', now(), now(), now() + '1 h' from generate_series(1, 20000) i`,
    );
    await dataSource.query('analyze idempotency_records');
    const connections = await ControlConnections.open(dataSource.options as PostgresOptions, settings);
    const owner = claimRequest().ownerToken;
    const values: Record<keyof Statements, unknown[]> = {
      claim: ['id-1', '', owner, 1000, 2000, true],
      renew: [Array(500).fill('id-1'), Array(500).fill(owner), Array(500).fill(1000)],
      complete: ['id-1', owner, Buffer.of(1), 1000],
      release: ['id-1', owner],
      undoClaim: ['id-1', owner],
      saveStep: ['id-1', owner, Buffer.of(1)],
      get: ['id-1'],
      find: [null, 'id-1%', null, 0, 200, 1_000_000],
      forget: ['id-1'],
      purge: [500],
    };
    for (const [name, parameters] of Object.entries(values)) {
      const sql = `explain ${statements[name as keyof Statements]('idempotency_records')}`;
      const { rows } = await connections.query({ name, sql }, parameters);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).toMatch(/Index Scan using idempotency_records_(pkey|expires_at)/);
      expect(plan).not.toMatch(/Seq Scan/);
    }
    await connections.close();
  });

  it('go on without prepared statements, and say so once, where another client has their connection', async () => {
    const { options } = await postgres.migrated();
    const warnings: string[] = [];
    const connections = await ControlConnections.open(options as PostgresOptions, {
      ...{ size: 1, preparedStatements: true },
      warn: (message) => warnings.push(message),
    });
    const statement = { name: 'one', sql: 'select $1::int as one' };
    for (let time = 0; time < 3; time += 1) {
      expect((await connections.query(statement, [1])).rows).toEqual([{ one: 1 }]);
      // What a pooler does: the same client, and another connection of the server behind it.
      await connections.query({ name: 'other', sql: 'deallocate all' }, []);
    }
    expect(warnings).toEqual([
      expect.stringMatching(/^typeOrmStorage: a pooler shares .*`preparedStatements`/),
    ]);
    await connections.close();
  });

  it('reach the primary alone when reads are replicated', async () => {
    const { host, port, username, database } = (await postgres.migrated()).options as never as Record<
      string,
      never
    >;
    const primary = { host, port, username, database };
    const replica = { ...primary, database: 'postgres' };
    const dataSource = await postgres.empty({ replication: { master: primary, slaves: [replica] } });
    const storage = await postgres.storage({ dataSource });
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  });

  it('use what the application gives its own, such as a search path, within bounds of their own', async () => {
    const { options } = await postgres.migrated();
    const extra = {
      options: '-c search_path=hidden',
      statement_timeout: 0,
      query_timeout: 90_000,
      max: 7,
      min: 7,
    };
    const connections = await ControlConnections.open({ ...(options as PostgresOptions), extra }, settings);
    const show = async (name: string) =>
      Object.values((await connections.query({ name: 'show', sql: `show ${name}` }, [])).rows[0] ?? {})[0];
    expect(await show('search_path')).toBe('hidden');
    expect(await show('statement_timeout')).toBe('5s');
    expect(await show('lock_timeout')).toBe('1s');
    expect(await show('default_transaction_isolation')).toBe('read committed');
    expect(await show('application_name')).toBe('nestjs-idempotent');
    await connections.close();
  });
});

describe('in a Nest application', () => {
  let close: (() => Promise<void>) | undefined;
  afterEach(() => close?.());

  it('the storage finds the DataSource of TypeOrmModule', async () => {
    const { options } = await postgres.migrated();
    const app = await Test.createTestingModule({ imports: [TypeOrmModule.forRoot(options)] }).compile();
    close = () => app.close();
    const found = app.get(DataSource, { strict: false });
    const storage = await postgres.storage({}, listeningHost(found));
    expect(await storage.claim(newClaim().id, claimRequest())).toMatchObject({ kind: 'claimed' });
  });
});
