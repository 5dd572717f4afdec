import { Controller, InternalServerErrorException, Post } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { Idempotent } from 'nestjs-idempotent';
import {
  appendOperation,
  CreateIdempotencyRecords1795305600000,
  CreateOperationLog1795392000000,
  insertOnce,
  MariaDbOperationLogEntry,
  OperationLogEntry,
  typeOrmStorage,
  updateVersioned,
} from 'nestjs-idempotent/typeorm';
import { start } from '../http/support/apps.js';
import { expectProblem, send } from '../http/support/requests.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { usePostgres } from '../support/postgres-fixture.js';
import { Parcel } from './support/parcel.entity.js';

const fixtures = { PostgreSQL: usePostgres(), MariaDB: useMariaDb() };

describe.each(['PostgreSQL', 'MariaDB'] as const)('the tools in a transactional handler on %s', (name) => {
  it('commit with the record, or are undone with the handler; a conflict in it leaves the transaction whole', async () => {
    const Entry = name === 'PostgreSQL' ? OperationLogEntry : MariaDbOperationLogEntry;
    const dataSource = await fixtures[name].empty({
      entities: [Parcel, Entry],
      migrations: [CreateIdempotencyRecords1795305600000, CreateOperationLog1795392000000],
      poolSize: 1,
    });
    await dataSource.runMigrations();
    await dataSource.synchronize(); // the parcels
    const parcels = dataSource.getRepository(Parcel);
    const log = dataSource.getRepository<OperationLogEntry>(Entry);
    const given = {
      userId: 'ada',
      requestKey: 'r-1',
      label: 'L-1',
      grams: 1,
      contents: [],
      to: { city: 'Bern' },
    };
    let fails = true;

    @Controller('parcels')
    class Parcels {
      @Post()
      @Idempotent({ transactional: true })
      async create() {
        await appendOperation(log, { commandId: 'c-1', command: 'send', content: 1 });
        const { entity, inserted } = await insertOnce(parcels, given, { conflict: ['label'] });
        const again = await insertOnce(parcels, given, { conflict: ['label'] });
        const sent = await updateVersioned(parcels, { id: entity.id }, 1, { state: 'sent' });
        if (fails) throw new InternalServerErrorException();
        return { inserted, again: again.inserted, version: sent?.version };
      }

      @Post('stale')
      @Idempotent({ transactional: true })
      async stale() {
        await appendOperation(log, { commandId: 'c-2', command: 'send', content: 2 });
        const { id } = await parcels.findOneByOrFail({ label: 'L-1' });
        return updateVersioned(parcels, { id }, 1, { state: 'lost' });
      }
    }
    const storage = typeOrmStorage({ dataSource, purgeEvery: false });
    const app = await start('express', { controllers: [Parcels], options: { namespace: 'shop', storage } });

    expect((await send(app, '/parcels', { key: 'k' })).status).toBe(500);
    expect([await parcels.count(), await log.count()]).toEqual([0, 0]);
    fails = false;
    expect((await send(app, '/parcels', { key: 'k' })).json).toEqual({
      inserted: true,
      again: false,
      version: 2,
    });
    expect([await parcels.count(), await log.count()]).toEqual([1, 1]);

    for (let sent = 0; sent < 2; sent += 1)
      expectProblem(await send(app, '/parcels/stale', { key: 's' }), 412, 'version-conflict');
    expect(await log.count()).toBe(1);
  });
});
