import { beforeEach, describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import type { QueryRunner } from 'typeorm';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { Gate } from '../../libs/idempotency/src/testing/gate.js';
import { outsideTransaction, TransactionEndedError } from '../../libs/idempotency/src/typeorm/index.js';
import { runningScope } from '../../libs/idempotency/src/typeorm/transaction/scope.js';
import { eventually } from '../support/postgres-fixture.js';
import { describeBenches, HOUR_MS, type Bench } from './support/bench.js';

const SLEEP = { PostgreSQL: 'select pg_sleep(0.5)', MariaDB: 'select sleep(0.5)' };

const UNDER_WAY = {
  PostgreSQL: `select 1 from pg_stat_activity where query = 'select pg_sleep(8)' and state = 'active'`,
  MariaDB: `select 1 from information_schema.processlist where info = 'select sleep(8)'`,
};

/** What the server says of the connections of the application's pool: how many there are, and how many in a transaction. */
async function connections({ outside, sql, dataSource }: Bench): Promise<{ all: number; busy: number }> {
  const name = dataSource.options.database as string;
  const [row] = await outside.query<[{ all: string; busy: string }]>(
    sql({
      PostgreSQL: `select count(*) as all, count(*) filter (where xact_start is not null) as busy
        from pg_stat_activity where datname = '${name}' and application_name = 'bench'`,
      MariaDB: `select count(*) as \`all\`, (select count(*) from information_schema.innodb_trx t
          join information_schema.processlist p on p.id = t.trx_mysql_thread_id where p.db = '${name}') as busy
        from information_schema.processlist where db = '${name}' and id <> connection_id()`,
    }),
  );
  return { all: Number(row.all), busy: Number(row.busy) };
}

describeBenches((bench: Bench) => {
  beforeEach(async () => {
    await bench.outside.query('delete from notes');
  });

  describe.each(['commit', 'rollback', 'close'] as const)('after %s', (end) => {
    it('whatever goes on in the handler fails with a clear error, and writes nothing', async () => {
      const { dataSource, notes } = bench;
      const transaction = bench.transactions.open();
      const [ended, tried] = [new Gate(), new Gate()];
      let failures: unknown[] = [];
      const handler = transaction.enter(async () => {
        await transaction.begin();
        await notes.insert({ text: 'before' });
        const runner = dataSource.createQueryRunner();
        const connection = (await runner.connect()) as {
          query(sql: string, done: (e: Error | null | undefined) => void): void;
        };
        await ended.pass();
        const insert = `insert into notes (text) values ('late')`;
        const tries: (() => Promise<unknown>)[] = [
          () => notes.insert({ text: 'late' }),
          () => notes.save({ text: 'late' }),
          () => notes.find(),
          () => dataSource.query(insert),
          () => runner.query(insert),
          () => runner.manager.insert('Note', { text: 'late' }),
          () => dataSource.transaction((manager) => manager.insert('Note', { text: 'late' })),
          () => runner.startTransaction(),
          () =>
            new Promise((resolve, reject) => connection.query(insert, (e) => (e ? reject(e) : resolve(e)))),
          () => transaction.manager.insert('Note', { text: 'late' }),
        ];
        const results = await Promise.allSettled(tries.map((one) => one()));
        failures = results.map((one) => (one.status === 'rejected' ? (one.reason as unknown) : one));
        tried.open();
      });
      await ended.reached();
      await transaction[end]();
      ended.open();
      await tried.pass();
      expect(failures).toEqual(failures.map(() => expect.any(TransactionEndedError)));
      expect(failures).toHaveLength(10);
      await transaction.close();
      await handler;
      expect(await bench.committed()).toEqual(end === 'commit' ? ['before'] : []);
    });
  });

  it('a query that is under way when the transaction is rolled back ends first, and nothing comes after it', async () => {
    const transaction = bench.transactions.open();
    const begun = new Gate();
    let after: unknown;
    const handler = transaction.enter(async () => {
      await transaction.begin();
      await bench.notes.insert({ text: 'before' });
      const sleeping = bench.dataSource.query(bench.sql(SLEEP));
      const waiting = bench.notes.insert({ text: 'waits its turn' }).catch((error: unknown) => error);
      // By now the first is on its way, and the second waits for its answer.
      await new Promise((resolve) => setImmediate(resolve));
      void begun.pass();
      await sleeping;
      after = [await waiting, await bench.notes.insert({ text: 'after' }).catch((error: unknown) => error)];
    });
    await begun.reached();
    const start = performance.now();
    await transaction.rollback();
    expect(performance.now() - start).toBeGreaterThan(200);
    await handler;
    expect(after).toEqual([expect.any(TransactionEndedError), expect.any(TransactionEndedError)]);
    await transaction.close();
    expect(await bench.committed()).toEqual([]);
  });

  it('a connection that went back to the pool does not know the handler that had it', async () => {
    const one = await bench.another({ poolSize: 1 });
    const first = one.transactions.open();
    let runner: QueryRunner | undefined;
    await first.enter(async () => {
      await first.begin();
      runner = one.dataSource.createQueryRunner();
      await runner.connect();
    });
    await first.close();
    await one.run(async () => {
      await one.notes.insert({ text: 'second' });
      await expect(runner?.query(`insert into notes (text) values ('first')`)).rejects.toBeInstanceOf(
        TransactionEndedError,
      );
    });
    expect(await one.committed()).toEqual(['second']);
  });

  it('every connection goes back, in no transaction, however handlers end', async () => {
    const one = await bench.another({ poolSize: 3, applicationName: 'bench' });
    const ends = await Promise.allSettled(
      Array.from({ length: 30 }, (_, index) =>
        one.run(async () => {
          await one.notes.insert({ text: `${index}` });
          if (index % 3 === 1) throw new Error('no');
          if (index % 3 === 2) await one.dataSource.query('select nothing from nowhere');
        }),
      ),
    );
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    expect(await one.committed()).toHaveLength(10);
    // On MariaDB the connections of the storage count as well.
    await eventually(async () => {
      const { all, busy } = await connections(one);
      expect(busy).toBe(0);
      expect(all).toBeLessThanOrEqual(one.database === 'PostgreSQL' ? 3 : 7);
    });
    await Promise.all([1, 2, 3].map(() => one.dataSource.query('select 1')));
  });

  it('what runs outside of it lasts whatever becomes of it', async () => {
    const ran = bench.run(async () => {
      await bench.notes.insert({ text: 'inside' });
      await outsideTransaction(async () => {
        await bench.notes.insert({ text: 'outside' });
        await bench.dataSource.transaction((manager) => manager.insert('Note', { text: 'also' }));
      });
      expect(await bench.committed()).toEqual(['outside', 'also']);
      throw new Error('no');
    });
    await expect(ran).rejects.toThrow('no');
    expect(await bench.committed()).toEqual(['outside', 'also']);
  });

  it('before it begins, everything goes its ordinary way', async () => {
    const transaction = bench.transactions.open();
    await transaction.enter(async () => {
      await bench.notes.insert({ text: 'before' });
      const runner = bench.dataSource.createQueryRunner();
      await transaction.begin();
      await bench.notes.insert({ text: 'inside' });
      // It was made before, so it is no part of it.
      await runner.query(`insert into notes (text) values ('on its own')`);
      await runner.release();
    });
    expect(await bench.committed()).toEqual(['before', 'on its own']);
    await transaction.close();
    expect(await bench.committed()).toEqual(['before', 'on its own']);
  });

  it('may begin again after its end, as another one', async () => {
    const transaction = bench.transactions.open();
    const claim = await bench.claim();
    await transaction.close();
    await transaction.enter(async () => {
      await transaction.begin();
      await bench.notes.insert({ text: 'first run' });
      await transaction.close();
      await transaction.begin();
      await bench.notes.insert({ text: 'second run' });
      await transaction.complete(claim, Buffer.from('done'), HOUR_MS);
      await transaction.commit();
    });
    await transaction.close();
    expect(await bench.committed()).toEqual(['second run']);
  });

  it('what a first try has left running is not in the transaction of the second one', async () => {
    const transaction = bench.transactions.open();
    const second = new Gate();
    let late: Promise<readonly PromiseSettledResult<unknown>[]> | undefined;
    await transaction.enter(async () => {
      await transaction.begin();
      await transaction.enter(async () => {
        await bench.notes.insert({ text: 'first try' });
        late = second
          .pass()
          .then(() =>
            Promise.allSettled([
              bench.notes.insert({ text: 'late' }),
              bench.dataSource.transaction((manager) => manager.insert('Note', { text: 'late as well' })),
              Promise.resolve().then(() => transaction.manager.insert('Note', { text: 'late by hand' })),
            ]),
          );
      });
      await transaction.close();
      await transaction.begin();
      await transaction.enter(async () => {
        second.open();
        for (const end of (await late) ?? [])
          expect(end).toEqual({ status: 'rejected', reason: expect.any(TransactionEndedError) });
        await bench.notes.insert({ text: 'second try' });
      });
      await transaction.commit();
    });
    await transaction.close();
    expect(late).toBeDefined();
    expect(await bench.committed()).toEqual(['second try']);
  });

  it('a connection that it has made for the pool knows nothing of it', async () => {
    const one = await bench.another({ poolSize: 1 });
    await one.run(() => one.notes.insert({ text: 'a' }));
    // Of a later owner: drivers call back where the connection was made.
    const runner = one.dataSource.createQueryRunner();
    const client = (await runner.connect()) as { query(sql: string, done: () => void): unknown };
    const scope = await new Promise((resolve) => {
      client.query('select 1', () => resolve(runningScope.getStore()));
    });
    await runner.release();
    // Not the scope itself: to tell what it is would take a minute.
    expect(scope === undefined).toBe(true);
  });

  it('a statement that does not end holds its rollback up for 5 s, and costs the connection', async () => {
    if (bench.version === '0.3') return; // The patience is ours, whatever the version; it takes its time.
    const one = await bench.another({ poolSize: 1 });
    const transaction = one.transactions.open();
    const sleeping = transaction.enter(async () => {
      await transaction.begin();
      await one.notes.insert({ text: 'a' });
      await one.dataSource.query(one.sql({ PostgreSQL: 'select pg_sleep(8)', MariaDB: 'select sleep(8)' }));
    });
    const failed = expect(sleeping).rejects.toThrow();
    await eventually(async () => expect(await one.outside.query(one.sql(UNDER_WAY))).toHaveLength(1));
    const start = performance.now();
    await transaction.rollback();
    await transaction.close();
    expect(performance.now() - start).toBeGreaterThan(4_500);
    expect(performance.now() - start).toBeLessThan(7_500);
    await failed;
    await one.run(() => one.notes.insert({ text: 'b' }));
    expect(await one.committed()).toEqual(['b']);
  });

  it('that is closed twice gives back one connection, not that of its successor', async () => {
    const one = await bench.another({ poolSize: 1 });
    const first = one.transactions.open();
    await first.begin();
    await first.close();
    const second = one.transactions.open();
    await second.begin();
    await first.close();
    let isThird = false;
    const third = one.notes.insert({ text: 'third' }).then(() => (isThird = true));
    await second.manager.insert('Note', { text: 'second' });
    expect(isThird).toBe(false);
    await second.close();
    await third;
    expect(await one.committed()).toEqual(['third']);
  });

  it('that is ended while it waits for a connection never begins', async () => {
    const one = await bench.another({ poolSize: 1 });
    const holder = one.transactions.open();
    await holder.begin();
    const waiting = one.transactions.open();
    const begun = waiting.begin();
    await waiting.close();
    await holder.close();
    await expect(begun).rejects.toBeInstanceOf(TransactionEndedError);
    await one.run(() => one.notes.insert({ text: 'next' }));
    expect(await one.committed()).toEqual(['next']);
  });

  it('that cannot begin says that the storage is unavailable', async () => {
    const one = await bench.another();
    await one.dataSource.destroy();
    await expect(one.transactions.open().begin()).rejects.toBeInstanceOf(StorageUnavailableError);
  });

  it('the end of the DataSource in the middle of it hangs nothing, and commits nothing', async () => {
    const one = await bench.another();
    const ran = one.run(async () => {
      await one.notes.insert({ text: 'a' });
      await one.dataSource.destroy();
      await one.notes.insert({ text: 'b' });
    });
    await expect(ran).rejects.toThrow();
    expect(await one.committed()).toEqual([]);
    const another = await bench.another();
    const late = another.run(async () => {
      await another.notes.insert({ text: 'a' });
      await another.dataSource.destroy();
    });
    await expect(late).rejects.toThrow();
    expect(await another.committed()).toEqual([]);
  });
});
