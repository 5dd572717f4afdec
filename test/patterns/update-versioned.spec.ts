import './support/both-typeorms.js';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { VersionConflictError, VersionMissingError } from 'nestjs-idempotent';
import { insertOnce, updateVersioned } from 'nestjs-idempotent/typeorm';
import { In, type DataSource, type Repository } from 'typeorm';
import { useDatabases } from './support/databases.js';
import { Parcel } from './support/parcel.entity.js';

const databases = useDatabases();

describe.each(databases)('updateVersioned on $name', ({ database, open }) => {
  let dataSource: DataSource;
  let parcels: Repository<Parcel>;
  beforeAll(async () => {
    dataSource = await open([Parcel]);
    parcels = dataSource.getRepository(Parcel);
  });

  const newParcel = async () => {
    const fresh = {
      userId: 'ada',
      requestKey: randomUUID(),
      grams: 250,
      contents: ['a'],
      to: { city: 'Bern' },
    };
    return (await insertOnce(parcels, fresh)).entity;
  };

  it('changes the row, raises its version, and answers it as TypeORM selects it', async () => {
    const { id } = await newParcel();

    const updated = await updateVersioned(parcels, { id, userId: 'ada' }, 1, {
      grams: 300,
      state: 'sent',
      to: { city: 'Basel' },
    });

    expect(updated).toBeInstanceOf(Parcel);
    expect(updated).toMatchObject({ grams: 300, state: 'sent', version: 2, shown: 'Basel: a,checked' });
    expect(updated).toEqual(await parcels.findOneByOrFail({ id }));
  });

  it('refuses a change that was made for another version, says which one is there, and changes nothing', async () => {
    const { id } = await newParcel();
    await updateVersioned(parcels, { id }, 1, { state: 'sent' });

    const refused: unknown = await updateVersioned(parcels, { id }, 1, { state: 'lost' }).catch(
      (error: unknown) => error,
    );

    expect(refused).toBeInstanceOf(VersionConflictError);
    expect(refused).toMatchObject({
      code: 'version-conflict',
      statusCode: 412,
      expectedVersion: 1,
      presentVersion: 2,
    });
    expect(await parcels.findOneBy({ id })).toMatchObject({ state: 'sent', version: 2 });
  });

  it('lets one of fifty changes of the same version through; each of the others is told the version it made', async () => {
    const { id } = await newParcel();

    const ends = await Promise.allSettled(
      Array.from({ length: 50 }, (_, grams) => updateVersioned(parcels, { id }, 1, { grams })),
    );

    const won = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    const lost = ends.flatMap((end) =>
      end.status === 'rejected' ? [end.reason as VersionConflictError] : [],
    );
    expect(won).toHaveLength(1);
    expect(
      lost.every(({ code, presentVersion }) => code === 'version-conflict' && presentVersion === 2),
    ).toBe(true);
    expect(won[0]).toEqual(await parcels.findOneBy({ id }));
  });

  it('answers nothing for a row that is not there, or does not meet the criteria, whatever its version', async () => {
    const { id } = await newParcel();

    expect(await updateVersioned(parcels, { id: randomUUID() }, 1, { state: 'lost' })).toBeUndefined();
    expect(await updateVersioned(parcels, { id, userId: 'eve' }, 7, { state: 'lost' })).toBeUndefined();
    expect(await updateVersioned(parcels, { id, userId: 'eve' }, 'any', { state: 'lost' })).toBeUndefined();
    expect(await parcels.findOneBy({ id })).toMatchObject({ state: 'new', version: 1 });
  });

  it('changes whatever is there when any version will do, also what it was chosen by', async () => {
    const { id } = await newParcel();
    const sent = await updateVersioned(parcels, { id, state: 'new' }, 'any', { state: 'sent' });
    expect(sent).toMatchObject({ state: 'sent', version: 2 });
  });

  it('asks for a version before it asks the database', async () => {
    const missing = updateVersioned(parcels, { id: randomUUID() }, undefined, { state: 'lost' });
    await expect(missing).rejects.toThrow(VersionMissingError);
    await expect(missing).rejects.toMatchObject({ code: 'version-missing', statusCode: 428 });
  });

  it.each<[string, () => Promise<unknown>]>([
    [
      'could be met by more than one Parcel',
      () => updateVersioned(parcels, { userId: 'ada' }, 1, { grams: 1 }),
    ],
    ['could be met by more than one Parcel', () => updateVersioned(parcels, {}, 1, { grams: 1 })],
    [
      'could be met by more than one Parcel',
      () => updateVersioned(parcels, { id: In([randomUUID(), randomUUID()]) }, 1, { grams: 1 }),
    ],
    [
      '`userId` of the criteria is undefined',
      () => updateVersioned(parcels, { id: randomUUID(), userId: undefined }, 1, { grams: 1 }),
    ],
    [
      '`version` is raised by every change',
      () => updateVersioned(parcels, { id: randomUUID() }, 1, { version: 7 }),
    ],
    [
      'give the version as `expectedVersion`',
      () => updateVersioned(parcels, { id: randomUUID(), version: 1 }, 1, { grams: 1 }),
    ],
    ['`id` says which row is meant', () => updateVersioned(parcels, { id: 'a' }, 1, { id: 'b' })],
    ['the expected version is NaN', () => updateVersioned(parcels, { id: 'a' }, NaN, { grams: 1 })],
  ])('refuses what could hit other rows than one: %s', async (message, update) => {
    await expect(update()).rejects.toMatchObject({
      code: 'invalid-options',
      message: expect.stringContaining(message),
    });
  });

  it('joins the transaction of its repository, which goes on after a refusal', async () => {
    const { id } = await newParcel();
    const rolledBack = dataSource.transaction(async (manager) => {
      const mine = manager.getRepository(Parcel);
      expect(await updateVersioned(mine, { id }, 1, { state: 'sent' })).toMatchObject({ version: 2 });
      await expect(updateVersioned(mine, { id }, 1, { state: 'lost' })).rejects.toMatchObject({
        presentVersion: 2,
      });
      expect(await updateVersioned(mine, { id }, 2, { state: 'lost' })).toMatchObject({ version: 3 });
      throw new Error('not after all');
    });
    await expect(rolledBack).rejects.toThrow('not after all');
    expect(await parcels.findOneBy({ id })).toMatchObject({ state: 'new', version: 1 });
  });

  // SQLite has one connection, so there is nobody else whom these could be about.
  const others: (name: string, test: () => Promise<void>) => void = database === 'SQLite' ? () => {} : it;

  others(
    'tells the present version in a transaction whose snapshot is older, or that it has to run again',
    async () => {
      const { id } = await newParcel();
      const runner = dataSource.createQueryRunner();
      await runner.startTransaction('REPEATABLE READ');
      const mine = runner.manager.getRepository(Parcel);
      expect(await mine.findOneBy({ id })).toMatchObject({ version: 1 }); // here its snapshot begins
      await updateVersioned(parcels, { id }, 1, { state: 'sent' });

      const late = updateVersioned(mine, { id }, 1, { state: 'lost' });
      await expect(late).rejects.toMatchObject(
        database === 'PostgreSQL' ? { driverError: { code: '40001' } } : { presentVersion: 2 },
      );
      await runner.rollbackTransaction();
      await runner.release();
    },
  );

  others('answers its own change, also when the next one comes at once', async () => {
    const { id } = await newParcel();
    const chain = await Promise.all(
      Array.from({ length: 20 }, (_, grams) => updateVersioned(parcels, { id }, 'any', { grams })),
    );
    expect(chain.map((one) => one?.version).sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 20 }, (_, at) => at + 2),
    );
    expect(new Set(chain.map((one) => one?.grams)).size).toBe(20);
  });
});
