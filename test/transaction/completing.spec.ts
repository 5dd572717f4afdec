import { beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { TransactionEndedError, TransactionMisusedError } from '../../libs/idempotency/src/typeorm/index.js';
import { claimRequest, newClaim } from '../support/postgres-fixture.js';
import { describeBenches, HOUR_MS, type Bench } from './support/bench.js';

const RESULT = Buffer.from('done');

async function timed<T>(call: () => Promise<T>): Promise<{ answer: T; ms: number }> {
  const start = performance.now();
  const answer = await call();
  return { answer, ms: performance.now() - start };
}

describeBenches((bench: Bench) => {
  beforeEach(async () => {
    await bench.outside.query('delete from notes');
  });

  it('a completed record holds the result, for its ttl from the completion', async () => {
    const { claim, outcome } = await bench.run(() => bench.notes.insert({ text: 'a' }));
    expect(outcome).toBe('applied');
    const again = await bench.storage.claim(claim.id, claimRequest());
    expect(again).toMatchObject({ kind: 'completed', result: RESULT });
    expect((again as { expiresInMs: number }).expiresInMs).toBeGreaterThan(HOUR_MS - 60_000);
    expect((again as { expiresInMs: number }).expiresInMs).toBeLessThanOrEqual(HOUR_MS);
  });

  it('whoever was taken over completes nothing, and what it wrote is undone', async () => {
    const { id, request, claim } = newClaim({ leaseMs: 1 });
    await bench.storage.claim(id, request);
    await sleep(20);
    const successor = claimRequest();
    const { outcome } = await bench.run(
      async () => {
        await bench.notes.insert({ text: 'a' });
        await bench.storage.claim(id, successor);
      },
      { claim },
    );
    expect(outcome).toBe('lease_lost');
    expect(await bench.committed()).toEqual([]);
    expect(await bench.storage.get(id)).toMatchObject({ state: 'in_progress', attempt: 2 });
  });

  it('until the commit a renewal counts as applied, a duplicate neither waits nor wins, and nobody is held up', async () => {
    const { id, request, claim } = newClaim({ leaseMs: 200 });
    await bench.storage.claim(id, request);
    const other = await bench.claim();
    const transaction = bench.transactions.open();
    await transaction.begin();
    await transaction.complete(claim, RESULT, HOUR_MS);
    // Its lease is over meanwhile.
    await sleep(250);
    const renewed = await timed(() =>
      bench.storage.renew([claim, other].map((one) => ({ claim: one, leaseMs: HOUR_MS }))),
    );
    expect(renewed.answer).toEqual(['applied', 'applied']);
    expect(renewed.ms).toBeLessThan(500);
    const duplicate = await timed(() => bench.storage.claim(id, claimRequest()));
    expect(duplicate.answer).toMatchObject({ kind: 'in_progress' });
    expect(duplicate.ms).toBeLessThan(500);
    await transaction.commit();
    expect(await bench.storage.claim(id, claimRequest())).toMatchObject({ kind: 'completed' });
    await transaction.close();
  });

  it('what the handler set for its session leads nowhere else', async () => {
    const { storage, outside, dataSource } = bench;
    await outside.query(bench.sql({ PostgreSQL: 'create schema if not exists other', MariaDB: 'select 1' }));
    const { claim } = await bench.run(async () => {
      const settings = {
        PostgreSQL: ['set search_path to other', `set time zone 'Asia/Tokyo'`, 'set enable_indexscan = off'],
        MariaDB: [
          `set session time_zone = '+09:00'`,
          `set session sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'`,
          `set names latin1`,
          'use information_schema',
        ],
      };
      for (const sql of settings[bench.database]) await dataSource.query(sql);
    });
    const record = await storage.get(claim.id);
    expect(record).toMatchObject({ state: 'completed' });
    expect(record?.expiresInMs).toBeGreaterThan(HOUR_MS - 60_000);
    expect(record?.expiresInMs).toBeLessThanOrEqual(HOUR_MS);
    await dataSource.destroy();
    await dataSource.initialize();
  });

  it('steps and renewals of the handler do not keep it from completing', async () => {
    const { claim, outcome } = await bench.run(async () => {
      await bench.notes.insert({ text: 'a' });
    });
    expect(outcome).toBe('applied');
    const second = await bench.claim();
    await bench.run(
      async () => {
        await bench.notes.find();
        await bench.storage.saveStep(second, 'charge', Buffer.from('charged'));
        await bench.storage.renew([{ claim: second, leaseMs: HOUR_MS }]);
        await bench.notes.insert({ text: 'b' });
      },
      { claim: second },
    );
    expect(await bench.storage.get(second.id)).toMatchObject({ state: 'completed' });
    expect(await bench.storage.get(claim.id)).toMatchObject({ state: 'completed' });
    expect(await bench.committed()).toEqual(['a', 'b']);
  });

  describe('is never taken for committed', () => {
    /** Nothing lasts, nor is it said that it does. */
    async function expectUncommitted(handler: () => Promise<unknown>, error: unknown) {
      const claim = await bench.claim();
      await expect(bench.run(handler, { claim })).rejects.toBeInstanceOf(error);
      expect(await bench.storage.get(claim.id)).toMatchObject({ state: 'in_progress' });
      const transaction = bench.transactions.open();
      const committed = transaction.enter(async () => {
        await transaction.begin();
        await handler();
        await transaction.commit();
      });
      await expect(committed).rejects.toBeInstanceOf(error);
      await transaction.close();
    }

    it('what holds a statement that ends transactions: it is refused', async () => {
      for (const sql of ['commit', 'ROLLBACK', ' begin', 'start  transaction']) {
        const { value } = await bench.run(() => bench.dataSource.query(sql).catch((error: unknown) => error));
        expect(value).toBeInstanceOf(TransactionMisusedError);
      }
    });

    it('what a hidden statement of the handler has ended', async () => {
      await expectUncommitted(
        async () => {
          await bench.dataSource.query('/* hidden */ commit');
          if (bench.database === 'PostgreSQL') return;
          const late = bench.notes.insert({ text: 'a transaction of its own' });
          await expect(late).rejects.toBeInstanceOf(TransactionEndedError);
        },
        bench.database === 'PostgreSQL' ? TransactionMisusedError : TransactionEndedError,
      );
      expect(await bench.committed()).toEqual([]);
    });
  });
});

describeBenches(
  (bench: Bench) => {
    beforeEach(async () => {
      await bench.outside.query('delete from notes');
    });

    it.each(['complete', 'commit'] as const)(
      'a handler that goes on after an error of PostgreSQL commits nothing, and hears why from %s',
      async (end) => {
        const claim = await bench.claim();
        const transaction = bench.transactions.open();
        await transaction.enter(async () => {
          await transaction.begin();
          await bench.notes.insert({ text: 'a' });
          await bench.notes.insert({ text: 'a' }).catch(() => undefined);
        });
        const ended = end === 'commit' ? transaction.commit() : transaction.complete(claim, RESULT, HOUR_MS);
        await expect(ended).rejects.toThrow(/insertOnce/);
        await expect(ended).rejects.toMatchObject({ code: 'transaction-misused' });
        await transaction.close();
        expect(await bench.committed()).toEqual([]);
        expect(await bench.storage.get(claim.id)).toMatchObject({ state: 'in_progress' });
      },
    );

    it('a constraint that is checked at the commit fails the commit, and nothing lasts', async () => {
      await bench.outside.query(
        'create table if not exists late (one int unique deferrable initially deferred)',
      );
      const claim = await bench.claim();
      const ran = bench.run(
        async () => {
          await bench.notes.insert({ text: 'a' });
          await bench.dataSource.query('insert into late values (1), (1)');
        },
        { claim },
      );
      await expect(ran).rejects.toMatchObject({ code: '23505' });
      expect(await bench.committed()).toEqual([]);
      expect(await bench.storage.get(claim.id)).toMatchObject({ state: 'in_progress' });
    });

    it('above READ COMMITTED a renewal of the lease is a conflict for the completion', async () => {
      const claim = await bench.claim();
      const transaction = bench.transactions.open('REPEATABLE READ');
      const completed = transaction.enter(async () => {
        await transaction.begin();
        await bench.notes.insert({ text: 'a' });
        await bench.storage.renew([{ claim, leaseMs: HOUR_MS }]);
        await transaction.complete(claim, RESULT, HOUR_MS);
      });
      const error = await completed.catch((thrown: unknown) => thrown);
      expect(transaction.isConflict(error)).toBe(true);
      await transaction.close();
      expect(await bench.committed()).toEqual([]);
    });

    it('a serialization failure counts as a conflict', async () => {
      await bench.notes.insert({ text: 'a' });
      const transaction = bench.transactions.open('REPEATABLE READ');
      const failed = transaction.enter(async () => {
        await transaction.begin();
        await bench.notes.find();
        await bench.outside.query(`update notes set text = 'b'`);
        await bench.notes.update({ text: 'a' }, { text: 'c' });
      });
      const error = await failed.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(Error);
      expect(transaction.isConflict(error)).toBe(true);
      expect(transaction.isConflict(new Error('other'))).toBe(false);
      await transaction.close();
    });
  },
  [
    ['PostgreSQL', '1.x'],
    ['PostgreSQL', '0.3'],
  ],
);

describeBenches(
  (bench: Bench) => {
    beforeEach(async () => {
      await bench.outside.query('delete from notes');
    });

    it('a deadlock undoes all, also when the handler catches it and goes on: it counts as a conflict', async () => {
      const rows = await bench.notes.save([{ text: 'a' }, { text: 'b' }]);
      const change = (row: number) => `update notes set text = concat(text, '!') where id = ${rows[row]?.id}`;
      const other = bench.outside.createQueryRunner();
      await other.startTransaction();
      // The server gives up whoever has changed less.
      await other.query(`insert into notes (text) values ('1'), ('2'), ('3'), ('4')`);
      await other.query(change(1));
      const transaction = bench.transactions.open();
      const claim = await bench.claim();
      const caught: unknown[] = [];
      await transaction.enter(async () => {
        await transaction.begin();
        await bench.dataSource.query(change(0));
        const theirs = other.query(change(0));
        await bench.dataSource.query(change(1)).catch((error: unknown) => caught.push(error));
        await theirs;
        await bench.notes.insert({ text: 'on its own' }).catch((error: unknown) => caught.push(error));
      });
      await other.rollbackTransaction();
      await other.release();
      expect(caught).toEqual([expect.objectContaining({ errno: 1213 }), expect.any(TransactionEndedError)]);
      const completed = await transaction.complete(claim, RESULT, HOUR_MS).catch((error: unknown) => error);
      const committed = await transaction.commit().catch((error: unknown) => error);
      expect([...caught, completed, committed].map((error) => transaction.isConflict(error))).toEqual(
        Array(4).fill(true),
      );
      await transaction.close();
      expect(await bench.committed()).toEqual(['a', 'b']);
    });

    it('a lock wait timeout undoes one statement, and the handler may go on', async () => {
      const { id } = await bench.notes.save({ text: 'a' });
      const other = bench.outside.createQueryRunner();
      await other.startTransaction();
      await other.query(`select * from notes where id = ${id} for update`);
      await bench
        .run(async () => {
          await bench.dataSource.query('set innodb_lock_wait_timeout = 1');
          await bench.notes.insert({ text: 'b' });
          const locked = bench.notes.update(id, { text: 'c' });
          await expect(locked).rejects.toMatchObject({ errno: 1205 });
        })
        .finally(() => other.rollbackTransaction().then(() => other.release()));
      expect(await bench.committed()).toEqual(['a', 'b']);
    });

    it('what would commit by itself is refused', async () => {
      const { value } = await bench.run(async () => {
        await bench.notes.insert({ text: 'a' });
        const tries = ['create table x (id int)', 'truncate table notes', 'alter table notes add y int'];
        const errors: unknown[] = [];
        for (const sql of tries)
          await bench.dataSource.query(sql).catch((error: unknown) => errors.push(error));
        await bench.notes.clear().catch((error: unknown) => errors.push(error));
        await bench.dataSource.query('create temporary table z (id int)');
        return errors;
      });
      expect(value).toEqual(Array(4).fill(expect.any(TransactionMisusedError)));
      expect(await bench.committed()).toEqual(['a']);
    });

    it('a stream of rows is read inside', async () => {
      await bench.notes.insert([{ text: 'a' }, { text: 'b' }]);
      const { value } = await bench.run(async () => {
        await bench.notes.insert({ text: 'c' });
        const texts: string[] = [];
        const stream = await bench.notes.createQueryBuilder('note').orderBy('note.id').stream();
        for await (const row of stream) texts.push((row as { note_text: string }).note_text);
        await bench.notes.insert({ text: 'd' });
        return texts;
      });
      expect(value).toEqual(['a', 'b', 'c']);
      expect(await bench.committed()).toEqual(['a', 'b', 'c', 'd']);
    });

    it('what is written as rows of a stream come in is inside as well', async () => {
      await bench.notes.insert([{ text: 'a' }, { text: 'b' }]);
      const ran = bench.run(async () => {
        const stream = await bench.notes.createQueryBuilder('note').stream();
        const writes: Promise<unknown>[] = [];
        stream.on('data', (row: unknown) => {
          const { note_text: text } = row as { note_text: string };
          writes.push(bench.notes.insert({ text: `${text} again` }));
        });
        await once(stream, 'end');
        await Promise.all(writes);
        expect(await bench.notes.count()).toBe(4);
        throw new Error('no');
      });
      await expect(ran).rejects.toThrow('no');
      expect(await bench.committed()).toEqual(['a', 'b']);
    });

    it('a stream that nobody reads to its end holds nothing up', async () => {
      await bench.outside.query(
        `insert into notes (text) select concat(repeat('x', 90), seq) from seq_1_to_5000`,
      );
      const { value } = await bench.run(async () => {
        const stream = await bench.notes.createQueryBuilder('note').stream();
        for await (const row of stream) return row as object;
        return undefined;
      });
      expect(value).toBeDefined();
      const { value: unread } = await bench.run(() => bench.notes.createQueryBuilder('note').stream());
      expect(unread.destroyed).toBe(true);
    });

    it('completes although the record has changed since the handler first read, where the server minds that', async () => {
      const claim = await bench.claim();
      const ran = bench.run(
        async () => {
          await bench.dataSource.query('set innodb_snapshot_isolation = on');
          await bench.notes.find();
          await bench.storage.saveStep(claim, 'a', Buffer.of(1));
        },
        { claim },
      );
      await ran;
      expect(await bench.storage.get(claim.id)).toMatchObject({ state: 'completed' });
    });
  },
  [
    ['MariaDB', '1.x'],
    ['MariaDB', '0.3'],
  ],
);
