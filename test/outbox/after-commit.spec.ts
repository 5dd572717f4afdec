import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { EntityManager, QueryRunner } from 'typeorm';
import { CreateOutbox1795478400000 } from '../../libs/idempotency/src/typeorm/migrations/create-outbox.js';
import { afterCommitOf, transactionRunner } from '../../libs/idempotency/src/typeorm/outbox/after-commit.js';
import { describeBenches, HOUR_MS } from '../transaction/support/bench.js';
import { benchOver, messageRow, type OutboxBench } from './support/outbox-bench.js';

describeBenches(
  (bench) => {
    let outbox: OutboxBench;
    beforeAll(async () => {
      const runner = bench.dataSource.createQueryRunner();
      await new CreateOutbox1795478400000().up(runner);
      await runner.release();
      outbox = await benchOver(bench.dataSource);
    });

    /** As `outbox.add()`: a message in the transaction, and a wake-up after it. */
    const add = async (given?: EntityManager | QueryRunner) => {
      const woken = jest.fn();
      const runner = transactionRunner(bench.dataSource, given);
      if (runner === undefined) throw new Error('no transaction');
      await outbox.table.insert(runner, [messageRow({ aggregate: 'a' })]);
      afterCommitOf(bench.dataSource, runner, woken);
      return woken;
    };
    const committed = () => outbox.table.undelivered('a');
    /** A function by which the server ends the connection that the runner is on now. */
    const connectionEnd = async (runner: QueryRunner) => {
      const [row] = (await runner.query(
        bench.sql({ PostgreSQL: 'select pg_backend_pid() as id', MariaDB: 'select connection_id() as id' }),
      )) as [{ id: number }];
      const sql = { PostgreSQL: `select pg_terminate_backend(${row.id})`, MariaDB: `kill ${row.id}` };
      return () => bench.outside.query(bench.sql(sql));
    };

    describe('in a handler’s transaction', () => {
      it('wakes once, when the message is there, and not before', async () => {
        const before = await committed();
        const seen: unknown[] = [];
        const { value: woken } = await bench.run(async () => {
          const woken = await add();
          const runner = transactionRunner(bench.dataSource)!;
          afterCommitOf(bench.dataSource, runner, () => seen.push(transactionRunner(bench.dataSource)));
          expect(woken).not.toHaveBeenCalled();
          expect(await committed()).toBe(before);
          return woken;
        });
        expect(woken).toHaveBeenCalledTimes(1);
        expect(await committed()).toBe(before + 1);
        // What is woken is in nobody's transaction.
        expect(seen).toEqual([undefined]);
      });

      it('wakes nobody when the handler fails, nor when the commit is lost', async () => {
        const before = await committed();
        const wakings: unknown[] = [];
        const failing = bench.run(async () => {
          wakings.push(await add());
          throw new Error('not after all');
        });
        await expect(failing).rejects.toThrow('not after all');
        const losing = bench.transactions.open();
        await losing.enter(async () => {
          await losing.begin();
          wakings.push(await add());
          const end = await connectionEnd(transactionRunner(bench.dataSource)!);
          await losing.complete(await bench.claim(), Buffer.from('done'), HOUR_MS);
          await end();
          await expect(losing.commit()).rejects.toThrow();
          await losing.close();
        });
        for (const woken of wakings) expect(woken).not.toHaveBeenCalled();
        expect(wakings).toHaveLength(2);
        expect(await committed()).toBe(before);
      });

      it('takes a wake-up back with the nested transaction that is rolled back', async () => {
        const before = await committed();
        const { value } = await bench.run(async () => {
          const kept = await bench.dataSource.transaction(() => add());
          let undone: unknown;
          const nested = bench.dataSource.transaction(async (manager) => {
            undone = await manager.transaction((inner) => add(inner));
            throw new Error('undo this');
          });
          await expect(nested).rejects.toThrow('undo this');
          expect(kept).not.toHaveBeenCalled();
          return { kept, undone };
        });
        expect(value.kept).toHaveBeenCalledTimes(1);
        expect(value.undone).not.toHaveBeenCalled();
        expect(await committed()).toBe(before + 1);
      });

      it('commits all the same when what it wakes throws', async () => {
        const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
        const { outcome } = await bench.run(async () => {
          const runner = transactionRunner(bench.dataSource)!;
          afterCommitOf(bench.dataSource, runner, () => {
            throw new Error('no relay');
          });
        });
        expect(outcome).toBe('applied');
        expect(warned).toHaveBeenCalledWith(expect.stringContaining('no relay'));
        warned.mockRestore();
      });

      it('says everything else on connections of its own, which last whatever becomes of the handler', async () => {
        await outbox.add('mine');
        const failing = bench.run(async () => {
          await add();
          const { owner, messages } = await outbox.claim({ limit: 1000, perAggregate: 1000 });
          expect(messages.map(({ aggregate }) => aggregate)).toContain('mine');
          await outbox.table.delivered(
            owner,
            messages.map(({ sequence }) => sequence),
          );
          throw new Error('not after all');
        });
        await expect(failing).rejects.toThrow('not after all');
        expect(await outbox.table.counts()).toMatchObject({ waiting: 0 });
      });
    });

    describe('in an ordinary transaction', () => {
      it('wakes once after its commit, and not for the next one of the same runner', async () => {
        const before = await committed();
        const runner = bench.dataSource.createQueryRunner();
        await runner.startTransaction();
        const woken = await add(runner);
        expect(woken).not.toHaveBeenCalled();
        await runner.commitTransaction();
        expect(woken).toHaveBeenCalledTimes(1);
        await runner.startTransaction();
        await runner.commitTransaction();
        await runner.release();
        expect(woken).toHaveBeenCalledTimes(1);
        expect(await committed()).toBe(before + 1);
      });

      it('wakes nobody when it is rolled back, nor when its commit is lost', async () => {
        const wakings: unknown[] = [];
        const failing = bench.dataSource.transaction(async (manager) => {
          wakings.push(await add(manager));
          throw new Error('not after all');
        });
        await expect(failing).rejects.toThrow('not after all');
        const losing = bench.dataSource.transaction(async (manager) => {
          wakings.push(await add(manager));
          const end = await connectionEnd(manager.queryRunner!);
          await end();
        });
        await expect(losing).rejects.toThrow();
        for (const woken of wakings) expect(woken).not.toHaveBeenCalled();
        expect(wakings).toHaveLength(2);
      });

      it('takes a wake-up back with the nested transaction that is rolled back', async () => {
        let undone: unknown;
        const kept = await bench.dataSource.transaction(async (manager) => {
          const nested = manager.transaction(async (inner) => {
            undone = await inner.transaction((innermost) => add(innermost));
            throw new Error('undo this');
          });
          await expect(nested).rejects.toThrow('undo this');
          return manager.transaction(async (inner) => {
            const woken = await inner.transaction((innermost) => add(innermost));
            // It has been kept before, by the one around it.
            await expect(inner.transaction(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
            expect(woken).not.toHaveBeenCalled();
            return woken;
          });
        });
        expect(kept).toHaveBeenCalledTimes(1);
        expect(undone).not.toHaveBeenCalled();
      });

      it('is none where a manager or runner has none, or it is of another database', async () => {
        const { dataSource, outside } = bench;
        const runner = dataSource.createQueryRunner();
        expect(transactionRunner(dataSource)).toBeUndefined();
        expect(transactionRunner(dataSource, dataSource.manager)).toBeUndefined();
        expect(transactionRunner(dataSource, runner)).toBeUndefined();
        await runner.release();
        await outside.transaction(async (manager) => {
          expect(() => transactionRunner(dataSource, manager)).toThrow(/of another DataSource/);
        });
      });
    });
  },
  [
    ['PostgreSQL', '1.x'],
    ['PostgreSQL', '0.3'],
    ['MariaDB', '1.x'],
  ],
);
