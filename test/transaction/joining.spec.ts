import { beforeEach, expect, it } from '@jest/globals';
import { describeBenches, type Bench, type Note } from './support/bench.js';

describeBenches((bench: Bench) => {
  beforeEach(async () => {
    await bench.outside.query('delete from notes');
  });

  it('commits what a handler writes together with its record', async () => {
    const claim = await bench.claim();
    const handler = async () => {
      await bench.notes.save({ text: 'a' });
      expect(await bench.committed()).toEqual([]);
      expect(await bench.storage.get(claim.id)).toMatchObject({ state: 'in_progress' });
    };
    await bench.run(handler, { claim });
    expect(await bench.committed()).toEqual(['a']);
    expect(await bench.storage.get(claim.id)).toMatchObject({ state: 'completed' });
  });

  it('leaves neither when the handler throws', async () => {
    const claim = await bench.claim();
    const ran = bench.run(
      async () => {
        await bench.notes.save({ text: 'a' });
        throw new Error('no');
      },
      { claim },
    );
    await expect(ran).rejects.toThrow('no');
    expect(await bench.committed()).toEqual([]);
    expect(await bench.storage.get(claim.id)).toMatchObject({ state: 'in_progress' });
  });

  const ways: Record<string, (bench: Bench, text: string) => Promise<unknown>> = {
    'a repository': ({ notes }, text) => notes.insert({ text }),
    'an EntityManager of the DataSource': ({ dataSource }, text) => dataSource.manager.save('Note', { text }),
    'a new EntityManager': ({ dataSource }, text) =>
      dataSource.createEntityManager().insert('Note', { text }),
    'a query builder of the DataSource': ({ dataSource }, text) =>
      dataSource.createQueryBuilder().insert().into('Note').values({ text }).execute(),
    'a query builder of a repository': ({ notes }, text) =>
      notes.createQueryBuilder().insert().values({ text }).execute(),
    'dataSource.query': ({ dataSource }, text) =>
      dataSource.query(`insert into notes (text) values ('${text}')`),
    'dataSource.transaction': ({ dataSource }, text) =>
      dataSource.transaction((manager) => manager.insert('Note', { text })),
    'a query runner made by hand': async ({ dataSource }, text) => {
      const runner = dataSource.createQueryRunner();
      await runner.connect();
      await runner.startTransaction();
      await runner.manager.insert('Note', { text });
      await runner.commitTransaction();
      expect(runner.isTransactionActive).toBe(false);
      await runner.release();
      expect(runner.isReleased).toBe(true);
    },
    'a custom repository': ({ notes }, text) =>
      notes
        .extend({
          add(this: Bench['notes'], one: string) {
            return this.save({ text: one });
          },
        })
        .add(text),
    'the connection of the driver that a runner hands out': async (one, text) => {
      const runner = one.dataSource.createQueryRunner();
      const client = (await runner.connect()) as {
        query(sql: string): Promise<unknown>;
        promise?(): typeof client;
      };
      await (client.promise?.() ?? client).query(`insert into notes (text) values ('${text}')`);
      await runner.release();
    },
  };

  it.each(Object.keys(ways))('joins what is written by %s', async (name) => {
    const write = ways[name] as (bench: Bench, text: string) => Promise<unknown>;
    await bench.run(async () => {
      await write(bench, 'kept');
      expect(await bench.notes.countBy({ text: 'kept' })).toBe(1);
      expect(await bench.committed()).toEqual([]);
    });
    const claim = await bench.claim();
    const ran = bench.run(
      async () => {
        await write(bench, 'undone');
        throw new Error('no');
      },
      { claim },
    );
    await expect(ran).rejects.toThrow('no');
    expect(await bench.committed()).toEqual(['kept']);
  });

  it('hands out the same by hand', async () => {
    await bench.run(async (transaction) => {
      const manager = transaction.manager;
      await manager.save('Note', { text: 'by hand' });
      expect(await bench.notes.count()).toBe(1);
      expect(await manager.getRepository<Note>('Note').count()).toBe(1);
      expect(await bench.committed()).toEqual([]);
    });
    expect(await bench.committed()).toEqual(['by hand']);
  });
});
