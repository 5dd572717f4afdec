import './support/both-typeorms.js';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { insertOnce } from 'nestjs-idempotent/typeorm';
import type { DataSource, DeepPartial, Repository } from 'typeorm';
import { useDatabases } from './support/databases.js';
import { Parcel } from './support/parcel.entity.js';

const databases = useDatabases();
const BY_KEY = { conflict: ['userId', 'requestKey'] } as const;

const parcel = (more: DeepPartial<Parcel> = {}): DeepPartial<Parcel> => ({
  userId: 'ada',
  requestKey: randomUUID(),
  grams: 250,
  contents: ['a', 'b'],
  to: { city: 'Bern' },
  ...more,
});

describe.each(databases)('insertOnce on $name', ({ database, open }) => {
  let dataSource: DataSource;
  let parcels: Repository<Parcel>;
  beforeAll(async () => {
    dataSource = await open([Parcel]);
    parcels = dataSource.getRepository(Parcel);
  });

  it('answers what it has inserted as TypeORM selects it', async () => {
    const { entity, inserted } = await insertOnce(parcels, parcel(), BY_KEY);

    expect(inserted).toBe(true);
    expect(entity).toBeInstanceOf(Parcel);
    expect(entity).toMatchObject({
      grams: 250,
      contents: ['a', 'b', 'checked'],
      open: true,
      state: 'new',
      version: 1,
      deletedAt: null,
      to: { city: 'Bern', zip: null },
      shown: 'Bern: a,b,checked',
    });
    expect(entity.createdAt).toBeInstanceOf(Date);
    expect(entity.secret).toBeUndefined(); // as it is for whoever selects the row
    expect(entity).toEqual(await parcels.findOneByOrFail({ id: entity.id }));
  });

  it('answers the row that is there and writes nothing of what was given', async () => {
    const first = await insertOnce(parcels, parcel({ requestKey: 'again' }), BY_KEY);
    const again = await insertOnce(parcels, parcel({ requestKey: 'again', grams: 999 }), BY_KEY);

    expect(again).toEqual({ entity: first.entity, inserted: false });
    expect(again.entity).toBeInstanceOf(Parcel);
    expect(await parcels.countBy({ requestKey: 'again' })).toBe(1);
  });

  it('inserts one of fifty that come at the same moment, and all get that row', async () => {
    const fifty = await Promise.all(
      Array.from({ length: 50 }, (_, grams) =>
        insertOnce(parcels, parcel({ requestKey: 'fifty', grams }), BY_KEY),
      ),
    );

    expect(fifty.filter(({ inserted }) => inserted)).toHaveLength(1);
    expect(new Set(fifty.map(({ entity }) => entity.id)).size).toBe(1);
    expect(await parcels.countBy({ requestKey: 'fifty' })).toBe(1);
  });

  it('finds a row by the primary key or any unique index when none is named', async () => {
    const id = randomUUID();
    const first = await insertOnce(parcels, parcel({ id, label: 'L-1' }));

    expect((await insertOnce(parcels, parcel({ id }))).entity).toEqual(first.entity);
    expect((await insertOnce(parcels, parcel({ label: 'L-1' }))).entity).toEqual(first.entity);
    await insertOnce(parcels, parcel({ label: 'L-2' }));
    await expect(insertOnce(parcels, parcel({ id, label: 'L-2' }))).rejects.toMatchObject({
      code: 'invalid-options',
      message: expect.stringContaining('more than one Parcel has the same values'),
    });
  });

  it('does not take a row for the same that is equal in another unique index than the one named', async () => {
    await insertOnce(parcels, parcel({ label: 'L-3' }), BY_KEY);

    await expect(insertOnce(parcels, parcel({ label: 'L-3' }), BY_KEY)).rejects.toMatchObject({
      name: 'QueryFailedError',
    });
  });

  it('refuses columns that are not unique, and names those that are', async () => {
    await expect(insertOnce(parcels, parcel(), { conflict: ['userId'] })).rejects.toMatchObject({
      code: 'invalid-options',
      message: expect.stringMatching(
        /^insertOnce: Parcel declares no unique index of \(userId\), .* Unique are \(id\), .*\(userId, requestKey\)/,
      ),
    });
  });

  it('inserts as many rows without a value in a unique column as it is asked to', async () => {
    const without = parcel({ userId: 'grace', requestKey: null });
    await insertOnce(parcels, without, BY_KEY);

    expect((await insertOnce(parcels, without, BY_KEY)).inserted).toBe(true);
    expect(await parcels.countBy({ userId: 'grace' })).toBe(2);
  });

  it('takes no other error for a conflict', async () => {
    await expect(insertOnce(parcels, parcel({ grams: null as never }), BY_KEY)).rejects.toMatchObject({
      name: 'QueryFailedError',
    });
    if (database === 'SQLite') return; // which has no lengths
    await expect(insertOnce(parcels, parcel({ state: 'far too long' }), BY_KEY)).rejects.toMatchObject({
      name: 'QueryFailedError',
    });
  });

  it('answers a row that is deleted softly, because it is in the way', async () => {
    const { entity } = await insertOnce(parcels, parcel({ requestKey: 'softly' }), BY_KEY);
    await parcels.softDelete(entity.id);

    const again = await insertOnce(parcels, parcel({ requestKey: 'softly' }), BY_KEY);
    expect(again.inserted).toBe(false);
    expect(again.entity.deletedAt).toBeInstanceOf(Date);
  });

  it('joins the transaction of its repository, and a conflict does not end that', async () => {
    const there = await insertOnce(parcels, parcel({ requestKey: 'there' }), BY_KEY);
    const rolledBack = dataSource.transaction(async (manager) => {
      const mine = manager.getRepository(Parcel);
      expect((await insertOnce(mine, parcel({ requestKey: 'there' }), BY_KEY)).entity).toEqual(there.entity);
      expect((await insertOnce(mine, parcel({ requestKey: 'mine' }), BY_KEY)).inserted).toBe(true);
      expect((await insertOnce(mine, parcel({ requestKey: 'mine' }), BY_KEY)).inserted).toBe(false);
      throw new Error('not after all');
    });

    await expect(rolledBack).rejects.toThrow('not after all');
    expect(await parcels.countBy({ requestKey: 'mine' })).toBe(0);
  });

  // SQLite has one connection, so there is nobody else whom these could be about.
  const others: (name: string, test: () => Promise<void>) => void = database === 'SQLite' ? () => {} : it;

  others('waits for another transaction, and inserts when that is rolled back', async () => {
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction();
    await insertOnce(runner.manager.getRepository(Parcel), parcel({ requestKey: 'undone' }), BY_KEY);
    const waiting = Array.from({ length: 5 }, () =>
      insertOnce(parcels, parcel({ requestKey: 'undone' }), BY_KEY),
    );
    await new Promise((resolve) => setTimeout(resolve, 200)); // they are at the database by now
    await runner.rollbackTransaction();
    await runner.release();

    const ended = await Promise.all(waiting);
    expect(ended.filter(({ inserted }) => inserted)).toHaveLength(1);
    expect(await parcels.countBy({ requestKey: 'undone' })).toBe(1);
  });

  others('never answers wrongly in a transaction whose snapshot is older than the row', async () => {
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction('REPEATABLE READ');
    const mine = runner.manager.getRepository(Parcel);
    await mine.countBy({ requestKey: 'later' }); // here its snapshot begins
    const { entity } = await insertOnce(parcels, parcel({ requestKey: 'later' }), BY_KEY);

    const late = insertOnce(mine, parcel({ requestKey: 'later' }), BY_KEY);
    if (database === 'PostgreSQL') {
      await expect(late).rejects.toMatchObject({ driverError: { code: '40001' } });
    } else expect(await late).toEqual({ entity, inserted: false });
    await runner.rollbackTransaction();
    await runner.release();
  });

  others('inserts when the row in the way is deleted before it can be looked at', async () => {
    await insertOnce(parcels, parcel({ requestKey: 'gone' }), BY_KEY);
    let looks = 0;
    const deleting = new Proxy(parcels, {
      get: (target, name) => {
        if (name !== 'createQueryBuilder') return Reflect.get(target, name) as unknown;
        return (...args: never[]) => {
          const builder = target.createQueryBuilder(...args);
          const getMany = builder.getMany.bind(builder);
          builder.getMany = async () => {
            if ((looks += 1) === 1) await parcels.delete({ requestKey: 'gone' });
            return getMany();
          };
          return builder;
        };
      },
    });

    expect((await insertOnce(deleting, parcel({ requestKey: 'gone' }), BY_KEY)).inserted).toBe(true);
  });

  it('says what is in the way when the entity does not know of it', async () => {
    await parcels.clear();
    await dataSource.query(
      `create unique index parcels_city on parcels (${database === 'MariaDB' ? '`toCity`' : '"toCity"'})`,
    );
    await insertOnce(parcels, parcel());

    await expect(insertOnce(parcels, parcel())).rejects.toMatchObject({
      code: 'invalid-options',
      message: expect.stringContaining('Declare the unique index that is in the way'),
    });
  });
});
