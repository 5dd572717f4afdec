import { describe, expect, it } from '@jest/globals';
import { memoryStorage } from 'nestjs-idempotent';
import type { IdempotencyRecordInfo, IdempotencyService, RecordFilter } from 'nestjs-idempotent';
import { FakeClock, faultyStorage, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { codeOf, job, startService } from './support/services.js';

describe('the operator’s view', () => {
  const all = async (
    service: IdempotencyService,
    filter?: RecordFilter,
  ): Promise<IdempotencyRecordInfo[]> => {
    const found = [];
    for await (const record of service.find(filter)) found.push(record);
    return found;
  };

  it('ends the walk of the storage when nobody wants the rest of it', async () => {
    const storage = memoryStorage();
    let ended = false;
    const find = storage.find.bind(storage);
    storage.find = async function* (query) {
      try {
        yield* find(query);
      } finally {
        ended = true;
      }
    };
    const service = await startService({ storage });
    for (const key of ['a', 'b']) await service.run(job(key), () => 1);

    for await (const _record of service.find()) break;
    await new Promise(setImmediate);

    expect(ended).toBe(true);
  });

  it('shows a record while it runs, when it is given up, and when it is completed', async () => {
    const service = await startService();
    const id = service.recordId(job('k'));
    const gate = new Gate();
    expect(await service.inspect(id)).toBeUndefined();
    const failing = service.run(job('k'), () => gate.pass()).catch(() => {});
    await gate.reached();

    expect(await service.inspect(id)).toMatchObject({
      id,
      operation: 'import-invoice',
      state: 'in_progress',
      attempt: 1,
      running: true,
      abandoned: false,
    });
    gate.fail();
    await failing;
    expect(await service.inspect(id)).toMatchObject({
      state: 'in_progress',
      running: false,
      abandoned: false,
    });
    await service.run(job('k'), () => 'done');
    expect(await service.inspect(id)).toMatchObject({
      state: 'completed',
      attempt: 2,
      result: 'value',
      running: false,
    });
  });

  it('holds neither key nor scope nor result', async () => {
    const service = await startService();
    await service.run(job('secret-key', { scope: 'secret-user' }), () => 'secret-result');

    const text = JSON.stringify(await all(service));

    expect(text).toContain('import-invoice');
    expect(text).not.toContain('secret');
  });

  it('finds records by state, operation, age and resource, in its own namespace alone', async () => {
    const clock = new FakeClock();
    const storage = new MemoryStorage({ clock });
    const service = await startService({ storage, namespace: 'shop' });
    const otherApp = await startService({ storage, namespace: 'shop2' });
    await otherApp.run(job('k'), () => 'theirs');
    await service.run(job('old'), (op) => op.setResource('invoice', 1));
    await clock.advance(60_000);
    await service.run({ operation: 'import', key: 'new' }, () => 'done');
    await service
      .run(job('failed'), () => {
        throw new Error('fails');
      })
      .catch(() => {});

    const count = async (filter?: RecordFilter) => (await all(service, filter)).length;
    expect(await count()).toBe(3);
    expect(await count({ state: 'completed' })).toBe(2);
    expect(await count({ state: 'in_progress' })).toBe(1);
    // Not those whose operation merely starts like it.
    expect(await count({ operation: 'import' })).toBe(1);
    expect(await count({ olderThan: '1m' })).toBe(1);
    expect(await count({ olderThan: '2m' })).toBe(0);
    expect(await count({ resource: { type: 'invoice', id: '1' } })).toBe(1);
    expect(await count({ resource: { type: 'invoice', id: '2' } })).toBe(0);
  });

  it('forgets a record, so its key runs again', async () => {
    const service = await startService();
    await service.run(job('k'), () => 'done');

    expect(await service.forget(service.recordId(job('k')))).toBe(true);
    expect(await service.forget(service.recordId(job('k')))).toBe(false);
    expect((await service.run(job('k'), () => 'again')).value).toBe('again');
  });

  it('purges expired records, however many there are', async () => {
    const clock = new FakeClock();
    const storage = faultyStorage(new MemoryStorage({ clock }));
    const service = await startService({ storage, ttl: '1h' });
    for (let index = 0; index < 1200; index += 1) await service.run(job(`k${index}`), () => index);
    await service.run(job('kept', { ttl: '2h' }), () => 'kept');
    await clock.advance(3_600_000);

    expect(await service.purgeExpired()).toBe(1200);
    expect(await service.purgeExpired()).toBe(0);
    expect(storage.calls('purgeExpired').length).toBeGreaterThan(2);
    expect(await all(service)).toHaveLength(1);
  });
});

describe('IdempotencyService.resolve', () => {
  const abandoned = async () => {
    const clock = new FakeClock();
    const storage = faultyStorage(new MemoryStorage({ clock }));
    const service = await startService({ storage, onAbandoned: 'refuse' });
    const dead = await startService({ storage });
    const gate = new Gate();
    const first = dead.run(job('k'), () => gate.pass());
    await gate.reached();
    await clock.advance(30_000);
    return { service, storage, id: service.recordId(job('k')), wake: () => (gate.open(), first) };
  };

  it('decides a job whose run ended without an outcome: by a value, or by another run', async () => {
    const one = await abandoned();
    expect(await codeOf(one.service.run(job('k'), () => 'never'))).toBe('outcome-unknown');
    await one.service.resolve(one.id, { value: { invoice: 7 } });
    expect(await one.service.run(job('k'), () => 'never')).toEqual({ value: { invoice: 7 }, replayed: true });
    await one.wake();

    const two = await abandoned();
    await two.service.resolve(two.id, 'rerun');
    expect(await two.service.run(job('k'), () => 'again')).toEqual({ value: 'again', replayed: false });
    await two.wake();
  });

  it('refuses what it cannot decide, with a sentence that says why', async () => {
    const service = await startService();
    const id = service.recordId(job('k'));
    await expect(service.resolve(id, 'rerun')).rejects.toThrow(
      /There is no record default\|import-invoice\|/,
    );
    const gate = new Gate();
    const first = service.run(job('k'), () => gate.pass());
    await gate.reached();
    expect(await codeOf(service.resolve(id, 'rerun'))).toBe('key-in-progress');
    gate.open();
    await first;
    await expect(service.resolve(id, 'rerun')).rejects.toThrow(/is completed; forget\(\) it first/);
    await expect(service.resolve(id, { status: 99 })).rejects.toThrow(/`status` is 99/);
    await expect(service.resolve(id, { value: new Date() })).rejects.toThrow(/`value` must be plain data/);
  });

  it('says so when the record goes away while it is decided', async () => {
    const { service, id, storage, wake } = await abandoned();
    const gate = storage.holdCall('complete');
    const resolving = service.resolve(id, { value: 'done' });
    await gate.reached();
    await service.forget(id);
    gate.open();

    await expect(resolving).rejects.toThrow(
      /was taken over or removed while it was resolved; look at it again/,
    );
    await wake();
  });
});
