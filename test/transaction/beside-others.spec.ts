import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { EntitySchema, EventSubscriber, type EntitySubscriberInterface, type InsertEvent } from 'typeorm';
import { outsideTransaction } from '../../libs/idempotency/src/typeorm/index.js';
import { startChildApp } from '../support/child-app.js';
import { useSqlite } from '../support/sqlite-fixture.js';
import { listeningHost } from '../support/postgres-fixture.js';
import {
  describeBenches,
  type Bench,
  type DatabaseName,
  type Note,
  type TypeOrmVersion,
} from './support/bench.js';

const ON_1X: readonly (readonly [DatabaseName, TypeOrmVersion])[] = [
  ['PostgreSQL', '1.x'],
  ['MariaDB', '1.x'],
];

interface Tree {
  id: number;
  name: string;
  notes: Promise<Branch[]>;
}
interface Branch {
  id: number;
  name: string;
  tree: Tree;
  parent?: Branch;
  children?: Branch[];
}
const key = { type: 'int', primary: true, generated: 'increment' } as const;
const name = { type: 'varchar', length: 100 } as const;
const TreeSchema = new EntitySchema<Tree>({
  name: 'Tree',
  columns: { id: key, name },
  relations: { notes: { type: 'one-to-many', target: 'Branch', inverseSide: 'tree', lazy: true } },
});
const BranchSchema = new EntitySchema<Branch>({
  name: 'Branch',
  columns: { id: key, name },
  trees: [{ type: 'materialized-path' }],
  relations: {
    tree: { type: 'many-to-one', target: 'Tree', inverseSide: 'notes' },
    parent: { type: 'many-to-one', target: 'Branch', treeParent: true },
    children: { type: 'one-to-many', target: 'Branch', inverseSide: 'parent', treeChildren: true },
  } as never,
});
const PlainNote = new EntitySchema<Note>({
  name: 'Note',
  tableName: 'notes',
  columns: { id: key, text: { ...name, unique: true } },
});

describeBenches((bench: Bench) => {
  beforeEach(async () => {
    await bench.outside.query('delete from notes');
  });

  it("finds what TypeORM's query cache, locks and subscribers do inside the same transaction", async () => {
    class Shadow implements EntitySubscriberInterface<Note> {
      listenTo() {
        return 'Note';
      }
      async afterInsert({ manager, entity }: InsertEvent<Note>) {
        if (!entity.text.startsWith('shadow'))
          await manager.insert('Note', { text: `shadow ${entity.text}` });
      }
    }
    EventSubscriber()(Shadow);
    const one = await bench.another({ cache: true, entities: [PlainNote], subscribers: [Shadow] });
    await one.run(async () => {
      await one.notes.save({ text: 'a' });
      const cached = () => one.notes.find({ cache: true });
      expect(await cached()).toHaveLength(2);
      await one.notes.save({ text: 'b' });
      expect(await cached()).toHaveLength(2);
      const locked = await one.notes.findOneOrFail({
        where: { text: 'a' },
        lock: { mode: 'pessimistic_write' },
      });
      expect(locked.text).toBe('a');
    });
    expect(await one.committed()).toEqual(['a', 'shadow a', 'b', 'shadow b']);
  });

  it('is joined by tree repositories and lazy relations', async () => {
    const one = await bench.another({ entities: [PlainNote, TreeSchema, BranchSchema] });
    await one.run(async () => {
      const tree = await one.dataSource.getRepository(TreeSchema).save({ name: 'oak' });
      const branches = one.dataSource.getTreeRepository(BranchSchema);
      const parent = await branches.save({ name: 'big', tree });
      await branches.save({ name: 'small', parent, tree });
      expect(await branches.countDescendants(parent)).toBe(2);
      const found = await one.dataSource.getRepository(TreeSchema).findOneByOrFail({ name: 'oak' });
      expect((await found.notes).map((each) => each.name)).toEqual(['big', 'small']);
      expect(await one.outside.query('select * from branch')).toEqual([]);
    });
    expect(await one.outside.query('select * from branch')).toHaveLength(2);
  });

  it('and another over the same DataSource do not see each other, and both are gone when both have stopped', async () => {
    const one = await bench.another({ applicationName: 'two' });
    const { dataSource } = one;
    const other = await bench.another();
    const { typeOrmStorage } = await import('../../libs/idempotency/src/typeorm/index.js');
    const second = typeOrmStorage({ dataSource, purgeEvery: false });
    await second.start?.();
    const transactions = second.transactions?.();
    if (typeof transactions !== 'object') throw new Error(transactions);
    const theirs = transactions.open();
    await one.run(async () => {
      await one.notes.insert({ text: 'first' });
      await theirs.enter(async () => {
        await theirs.begin();
        await one.notes.insert({ text: 'second' });
        expect(await one.notes.countBy({ text: 'first' })).toBe(0);
      });
      await other.run(() => one.notes.insert({ text: 'still the first' }));
      await theirs.rollback();
      await theirs.close();
    });
    expect(await one.committed()).toEqual(['first', 'still the first']);
    await one.storage.stop?.();
    expect(Object.hasOwn(dataSource, 'createQueryRunner')).toBe(true);
    await second.stop?.();
    expect(Object.getOwnPropertyNames(dataSource)).not.toContain('createQueryRunner');
    expect(Object.getOwnPropertyNames(dataSource.manager)).not.toContain('transaction');
    expect(Object.getOwnPropertySymbols(dataSource)).toEqual(Object.getOwnPropertySymbols(bench.outside));
    await one.notes.insert({ text: 'as ever' });
  });

  it('is one with those of a second copy of the library', async () => {
    const one = await bench.another();
    await one.run(() => Promise.resolve());
    await jest.isolateModulesAsync(async () => {
      const copy = await import('../../libs/idempotency/src/typeorm/index.js');
      expect(copy.outsideTransaction).not.toBe(outsideTransaction);
      const storage = copy.typeOrmStorage({ dataSource: one.dataSource, purgeEvery: false });
      await storage.start?.();
      const transactions = storage.transactions?.();
      if (typeof transactions !== 'object') throw new Error(transactions);
      const theirs = transactions.open();
      await theirs.enter(async () => {
        await theirs.begin();
        await one.notes.insert({ text: 'theirs' });
        await outsideTransaction(() => one.notes.insert({ text: 'outside' }));
        await one.dataSource.transaction((manager) => manager.insert('Note', { text: 'nested' }));
      });
      expect(await one.committed()).toEqual(['outside']);
      await theirs.commit();
      await theirs.close();
      await storage.stop?.();
    });
    await one.run(() => one.notes.insert({ text: 'ours' }));
    expect([...(await one.committed())].sort()).toEqual(['nested', 'ours', 'outside', 'theirs']);
  });

  it('says at boot that another DataSource of the application is not in it', async () => {
    const two = await bench.another();
    const host = listeningHost();
    const all = { ...host, findAll: () => [bench.dataSource, two.dataSource] as never };
    const { transactions } = await bench.another({}, all);
    expect(transactions.cautions).toEqual([expect.stringContaining(String(two.dataSource.options.database))]);
    expect(bench.transactions.cautions).toEqual([]);
  });
}, ON_1X);

describeBenches(
  (bench: Bench) => {
    it('is joined by the methods of @nestjs-cls/transactional as savepoints, whatever their propagation, unless they run outside', async () => {
      const { dataSource, outside } = await bench.another();
      const app = await startChildApp('test/transaction/support/cls-app.ts', {
        DATABASE: JSON.stringify({ ...dataSource.options, entities: [], synchronize: false }),
      });
      try {
        const post = (path: string, key: string) =>
          fetch(`${app.url}/${path}`, { method: 'POST', headers: { 'idempotency-key': key } });
        const paid = await post('pay', 'one');
        expect(await paid.json()).toEqual({ caught: 'no', ends: ['rejected', 'fulfilled'] });
        const replayed = await post('pay', 'one');
        expect([replayed.status, replayed.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
        const refused = await post('refused', 'two');
        expect(refused.status).toBe(409);
        const rows: Note[] = await outside.query('select text from notes order by id');
        expect(rows.map(({ text }) => text)).toEqual([
          'a',
          'a too',
          'd',
          'd too',
          'audit outside',
          'note outside',
        ]);
      } finally {
        await app.stop();
      }
    });
  },
  // It asks the DataSource for savepoints, which are shown on both elsewhere; a process of its own takes seconds to start.
  [['PostgreSQL', '1.x']],
);

describe('on SQLite', () => {
  const sqlite = useSqlite();
  it('there are none, and the storage says why and what to do', async () => {
    const storage = await sqlite.storage({ dataSource: await sqlite.migrated() });
    expect(storage.transactions?.()).toMatch(/SQLite.*rollback.*PostgreSQL or MariaDB/s);
  });
});
