import { beforeEach, describe, expect, it } from '@jest/globals';
import type { EntityManager } from 'typeorm';
import { Gate } from '../../libs/idempotency/src/testing/gate.js';
import { TransactionMisusedError } from '../../libs/idempotency/src/typeorm/index.js';
import { describeBenches, type Bench } from './support/bench.js';

const no = new Error('no');

describeBenches((bench: Bench) => {
  beforeEach(async () => {
    await bench.outside.query('delete from notes');
  });

  /** A nested transaction that writes, waits if it is told to, and ends well or not. */
  async function nested(text: string, { fails = false, until = Promise.resolve() } = {}) {
    await bench.dataSource.transaction(async (manager: EntityManager) => {
      await manager.insert('Note', { text: `${text} 1` });
      await until;
      await manager.insert('Note', { text: `${text} 2` });
      if (fails) throw no;
    });
  }

  describe('a nested transaction', () => {
    it('that fails undoes its own work alone', async () => {
      await bench.run(async () => {
        await bench.notes.insert({ text: 'before' });
        await expect(nested('inner', { fails: true })).rejects.toBe(no);
        await bench.notes.insert({ text: 'after' });
      });
      expect(await bench.committed()).toEqual(['before', 'after']);
    });

    it('takes in what repositories write inside it', async () => {
      await bench.run(async () => {
        const failed = bench.dataSource.transaction(async (manager) => {
          await manager.insert('Note', { text: 'by its manager' });
          await bench.notes.insert({ text: 'by a repository' });
          throw no;
        });
        await expect(failed).rejects.toBe(no);
        await bench.notes.insert({ text: 'after' });
      });
      expect(await bench.committed()).toEqual(['after']);
    });

    it('that has failed takes nothing more in, nor does the handler in its place', async () => {
      const undone = new Gate();
      await bench.run(async () => {
        let late: Promise<unknown> | undefined;
        const failed = bench.dataSource.transaction(async () => {
          await bench.notes.insert({ text: 'inner' });
          late = undone
            .pass()
            .then(() =>
              Promise.allSettled([
                bench.notes.insert({ text: 'late' }),
                bench.dataSource.transaction((manager) => manager.insert('Note', { text: 'late as well' })),
              ]),
            );
          throw no;
        });
        await expect(failed).rejects.toBe(no);
        undone.open();
        expect(await late).toEqual(
          Array(2).fill({ status: 'rejected', reason: expect.any(TransactionMisusedError) }),
        );
        await bench.notes.insert({ text: 'after' });
      });
      expect(await bench.committed()).toEqual(['after']);
    });

    it('may hold another one', async () => {
      await bench.run(async () => {
        await bench.dataSource.transaction(async (outer) => {
          await outer.insert('Note', { text: 'outer' });
          const failed = outer.transaction(async (inner) => {
            await inner.insert('Note', { text: 'inner' });
            throw no;
          });
          await expect(failed).rejects.toBe(no);
          await nested('other');
        });
      });
      expect(await bench.committed()).toEqual(['outer', 'other 1', 'other 2']);
    });

    it('is nothing on its own: the handler that throws undoes it', async () => {
      const ran = bench.run(async () => {
        await nested('inner');
        throw no;
      });
      await expect(ran).rejects.toBe(no);
      expect(await bench.committed()).toEqual([]);
    });

    it('may catch a unique violation, and the handler goes on', async () => {
      await bench.run(async () => {
        await bench.notes.insert({ text: 'b' });
        const again = bench.dataSource.transaction((manager) => manager.insert('Note', { text: 'b' }));
        await expect(again).rejects.toThrow(/duplicate/i);
        await bench.notes.insert({ text: 'c' });
      });
      expect(await bench.committed()).toEqual(['b', 'c']);
    });
  });

  describe('nested transactions side by side', () => {
    it('wait for each other, and each keeps or loses its own', async () => {
      const gate = new Gate();
      await bench.run(async () => {
        const first = nested('first', { until: gate.pass() });
        const second = nested('second', { fails: true });
        const third = nested('third');
        gate.open();
        const ends = await Promise.allSettled([first, second, third]);
        expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      });
      expect(await bench.committed()).toEqual(['first 1', 'first 2', 'third 1', 'third 2']);
    });

    it('do so also when the first one fails', async () => {
      await bench.run(async () => {
        await Promise.allSettled([nested('first', { fails: true }), nested('second')]);
      });
      expect(await bench.committed()).toEqual(['second 1', 'second 2']);
    });

    it('do so inside another one, by its own manager', async () => {
      await bench.run(async () => {
        await bench.dataSource.transaction(async (outer) => {
          await Promise.allSettled([
            outer.transaction(async (inner) => {
              await inner.insert('Note', { text: 'a' });
              throw no;
            }),
            outer.transaction(async (inner) => {
              await inner.insert('Note', { text: 'b' });
              await inner.insert('Note', { text: 'c' });
            }),
          ]);
        });
      });
      expect(await bench.committed()).toEqual(['b', 'c']);
    });

    it('never take with them what somebody else has written meanwhile: then nothing is committed, and they say so', async () => {
      const [begun, written] = [new Gate(), new Gate()];
      const ran = bench.run(async () => {
        const inner = bench.dataSource.transaction(async (manager) => {
          await manager.insert('Note', { text: 'inner' });
          begun.open();
          await written.pass();
          throw no;
        });
        const beside = begun.pass().then(async () => {
          await bench.notes.insert({ text: 'beside' });
          written.open();
        });
        await Promise.allSettled([inner, beside]);
      });
      await expect(ran).rejects.toBeInstanceOf(TransactionMisusedError);
      await expect(ran).rejects.toThrow(/one after another/);
      expect(await bench.committed()).toEqual([]);
    });

    it('let others read meanwhile', async () => {
      const [begun, read] = [new Gate(), new Gate()];
      await bench.run(async () => {
        const inner = bench.dataSource.transaction(async (manager) => {
          await manager.insert('Note', { text: 'inner' });
          begun.open();
          await read.pass();
          throw no;
        });
        const beside = begun.pass().then(async () => {
          await bench.notes.find();
          read.open();
        });
        await Promise.allSettled([inner, beside]);
        await bench.notes.insert({ text: 'after' });
      });
      expect(await bench.committed()).toEqual(['after']);
    });
  });

  describe('a transaction begun by hand', () => {
    it('is a savepoint: its rollback undoes its own work alone', async () => {
      await bench.run(async () => {
        await bench.notes.insert({ text: 'before' });
        const runner = bench.dataSource.createQueryRunner();
        await runner.startTransaction();
        await runner.manager.insert('Note', { text: 'inner' });
        await runner.rollbackTransaction();
        await runner.release();
        await bench.notes.insert({ text: 'after' });
      });
      expect(await bench.committed()).toEqual(['before', 'after']);
    });

    it('commits beside work of others, which both stay', async () => {
      await bench.run(async () => {
        const runner = bench.dataSource.createQueryRunner();
        await runner.startTransaction();
        await runner.manager.insert('Note', { text: 'by hand' });
        await bench.notes.insert({ text: 'beside' });
        await runner.commitTransaction();
        await runner.release();
      });
      expect(await bench.committed()).toEqual(['by hand', 'beside']);
    });

    it('is refused when its rollback would undo work of others', async () => {
      const ran = bench.run(async () => {
        const runner = bench.dataSource.createQueryRunner();
        await runner.startTransaction();
        await bench.notes.insert({ text: 'beside' });
        await expect(runner.rollbackTransaction()).rejects.toBeInstanceOf(TransactionMisusedError);
        await bench.notes.insert({ text: 'more' });
      });
      await expect(ran).rejects.toThrow(/one after another/);
      expect(await bench.committed()).toEqual([]);
    });

    it('may stand beside another one, in whatever order they end', async () => {
      await bench.run(async () => {
        const [one, two] = [bench.dataSource.createQueryRunner(), bench.dataSource.createQueryRunner()];
        await one.startTransaction();
        await two.startTransaction();
        await one.manager.insert('Note', { text: 'one' });
        await two.manager.insert('Note', { text: 'two' });
        await one.commitTransaction();
        await two.commitTransaction();
        await Promise.all([one.release(), two.release()]);
      });
      expect(await bench.committed()).toEqual(['one', 'two']);
    });

    it('is undone when it is released without a commit', async () => {
      await bench.run(async () => {
        const runner = bench.dataSource.createQueryRunner();
        await runner.startTransaction();
        await runner.manager.insert('Note', { text: 'inner' });
        await runner.release();
      });
      expect(await bench.committed()).toEqual([]);
    });

    it('that is still open at the end lets nothing be committed', async () => {
      const ran = bench.run(async () => {
        const runner = bench.dataSource.createQueryRunner();
        await runner.startTransaction();
        await runner.manager.insert('Note', { text: 'inner' });
      });
      await expect(ran).rejects.toThrow(/still open at the end/);
      expect(await bench.committed()).toEqual([]);
    });

    it('cannot end what it has not begun', async () => {
      await bench.run(async () => {
        const runner = bench.dataSource.createQueryRunner();
        expect(runner.isTransactionActive).toBe(true);
        await runner.manager.insert('Note', { text: 'a' });
        await expect(runner.commitTransaction()).rejects.toThrow(/not started/);
        await expect(runner.rollbackTransaction()).rejects.toThrow(/not started/);
      });
      expect(await bench.committed()).toEqual(['a']);
    });
  });

  describe('an isolation that is asked for inside', () => {
    it('is refused when the handler has less', async () => {
      await bench.run(async () => {
        const asked = bench.dataSource.transaction('SERIALIZABLE', () => Promise.resolve());
        await expect(asked).rejects.toThrow(/isolation: 'SERIALIZABLE'/);
      });
    });

    it('is granted when the handler has as much', async () => {
      const isolation = 'SERIALIZABLE';
      await bench.run(() => bench.dataSource.transaction(isolation, () => Promise.resolve()), { isolation });
      await bench.run(() => bench.dataSource.transaction('READ COMMITTED', () => Promise.resolve()));
    });
  });
});
