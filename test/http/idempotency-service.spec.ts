import { Logger } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { memoryStorage, type IdempotencyService } from 'nestjs-idempotent';
import { FakeClock, faultyStorage, Gate, MemoryStorage, type StorageMethod } from 'nestjs-idempotent/testing';
import { codeOf, job, startService } from './support/services.js';

describe('IdempotencyService.run', () => {
  it('runs work once per key and gives its recorded result to every other call, also in another process', async () => {
    const storage = memoryStorage();
    const [service, other] = [await startService({ storage }), await startService({ storage })];
    let runs = 0;
    const work = () => ({ invoice: (runs += 1), lines: [{ sku: 'A', none: null }] });

    expect(await service.run(job('k'), work)).toEqual({
      value: { invoice: 1, lines: [{ sku: 'A', none: null }] },
      replayed: false,
    });
    for (const again of [service, other]) {
      expect(await again.run(job('k'), work)).toEqual({
        value: { invoice: 1, lines: [{ sku: 'A', none: null }] },
        replayed: true,
      });
    }
    expect((await service.run(job('k2'), work)).replayed).toBe(false);
  });

  it.each([
    ['a text', 'done'],
    ['nothing', undefined],
    ['null', null],
    ['0', 0],
    ['a list', [1, 'a']],
  ])('replays %s as it was', async (_what, value) => {
    const service = await startService();

    await service.run(job('k'), () => value);

    expect(await service.run(job('k'), () => 'never')).toEqual({ value, replayed: true });
  });

  it('keeps apart operations, scopes and namespaces', async () => {
    const storage = memoryStorage();
    const service = await startService({ storage });
    const otherApp = await startService({ storage, namespace: 'other' });
    let runs = 0;
    const work = () => (runs += 1);

    await service.run({ operation: 'a', key: 'k' }, work);
    await service.run({ operation: 'b', key: 'k' }, work);
    await service.run({ operation: 'a', key: 'k', scope: 1 }, work);
    await service.run({ operation: 'a', key: 'k', scope: 2n }, work);
    await service.run({ operation: 'a|b', key: 'k' }, work);
    await otherApp.run({ operation: 'a', key: 'k' }, work);
    expect(runs).toBe(6);
    await service.run({ operation: 'a', key: 'k', scope: '1' }, work);
    expect(runs).toBe(6);
  });

  it('refuses a duplicate of running work with key-in-progress, or lets it wait', async () => {
    const service = await startService();
    const gate = new Gate();
    const first = service.run(job('k'), async () => {
      await gate.pass();
      return 'first';
    });
    await gate.reached();

    expect(await codeOf(service.run(job('k'), () => 'second'))).toBe('key-in-progress');
    const waiting = service.run(job('k', { inFlight: 'wait' }), () => 'third');
    gate.open();

    expect(await first).toEqual({ value: 'first', replayed: false });
    expect(await waiting).toEqual({ value: 'first', replayed: true });
  });

  it('refuses a key with another fingerprint; the order of its members does not matter', async () => {
    const service = await startService();
    await service.run(job('k', { fingerprint: { a: 1, b: [2] } }), () => 'done');

    expect(await codeOf(service.run(job('k', { fingerprint: { a: 1, b: [3] } }), () => 'never'))).toBe(
      'key-reused',
    );
    expect(await codeOf(service.run(job('k'), () => 'never'))).toBe('key-reused');
    expect((await service.run(job('k', { fingerprint: { b: [2], a: 1 } }), () => 'never')).replayed).toBe(
      true,
    );
  });

  it('says with a refusal after how many seconds to come again, and of one that no retry mends nothing', async () => {
    const service = await startService({ lease: '5s' });
    const gate = new Gate();
    const first = service.run(job('k'), () => gate.pass());
    await gate.reached();

    await expect(service.run(job('k'), () => 'never')).rejects.toMatchObject({ retryAfter: 1 });
    gate.open();
    await first;
    const reused = await service
      .run(job('k', { fingerprint: 'other' }), () => 'never')
      .catch((error) => error);
    expect(reused).toMatchObject({ code: 'key-reused', retryAfter: undefined });
  });

  it('throws what the work throws and gives the key up, so the next call runs, as the next attempt', async () => {
    const service = await startService();
    const failure = new Error('the service is away');

    await expect(
      service.run(job('k'), () => {
        throw failure;
      }),
    ).rejects.toBe(failure);
    const next = await service.run(job('k'), (op) => ({
      attempt: op.attempt,
      takenOver: op.takenOver,
      key: op.key,
    }));

    expect(next).toEqual({ value: { attempt: 2, takenOver: false, key: 'k' }, replayed: false });
  });

  it('gives a result that does not survive JSON to its own caller, warns, and refuses to replay it', async () => {
    const lines: string[] = [];
    const service = await startService();
    Logger.overrideLogger({ log: () => {}, warn: (line: string) => lines.push(line), error: () => {} });
    const value = { at: new Date(0) };

    const first = await service.run(job('k'), (op) => {
      op.setResource('invoice', 7);
      return value;
    });

    expect(first.value).toBe(value);
    expect(lines).toEqual([
      expect.stringMatching(/^The result of import-invoice cannot be recorded: it does not survive JSON\./),
    ]);
    await expect(service.run(job('k'), () => 'never')).rejects.toMatchObject({
      code: 'result-not-replayable',
      message: expect.stringContaining('It made invoice 7'),
    });
  });

  it('refuses a key that is none, and a ttl in milliseconds', async () => {
    const service = await startService();

    expect(await codeOf(service.run(job(''), () => 'never'))).toBe('key-malformed');
    expect(await codeOf(service.run(job('clé'), () => 'never'))).toBe('key-malformed');
    expect(await codeOf(service.run(job('k', { ttl: 86_400_000 }), () => 'never'))).toBe('invalid-options');
    expect(await codeOf(service.run({ operation: '', key: 'k' }, () => 'never'))).toBe('invalid-options');
    expect(await codeOf(service.run(job('k', { inFlight: 'queue' as never }), () => 'never'))).toBe(
      'invalid-options',
    );
    expect(await codeOf(service.run(job(7 as never), () => 'never'))).toBe('key-malformed');
  });

  it('keeps its result for its own ttl', async () => {
    const clock = new FakeClock();
    const service = await startService({ storage: new MemoryStorage({ clock }), ttl: '1h' });
    let runs = 0;
    const work = () => (runs += 1);
    await service.run(job('short', { ttl: 60 }), work);
    await service.run(job('default'), work);

    await clock.advance(60_000);

    expect((await service.run(job('short', { ttl: 60 }), work)).replayed).toBe(false);
    expect((await service.run(job('default'), work)).replayed).toBe(true);
  });

  it('is refused while the storage is down, or runs unprotected with `onStorageFailure: run`', async () => {
    const storage = faultyStorage(memoryStorage());
    storage.rejectNext('claim', Infinity);
    const careful = await startService({ storage, storageTimeout: '100ms' });
    const bold = await startService({ storage, storageTimeout: '100ms', onStorageFailure: 'run' });

    expect(await codeOf(careful.run(job('k'), () => 'never'))).toBe('storage-unavailable');
    expect(await bold.run(job('k'), (op) => op.deriveKey('a') !== '')).toEqual({
      value: true,
      replayed: false,
    });
    expect(bold.counters().get('unprotected')).toBe(1);
  });

  it('refuses a record that it cannot read', async () => {
    const storage = memoryStorage();
    const service = await startService({ storage });
    const id = service.recordId(job('k'));
    await service.run(job('k'), () => 'done');
    const fingerprint = (await service.inspect(id))?.fingerprint ?? '';
    await service.forget(id);
    const claim = { id, ownerToken: 'x' };
    await storage.claim(id, { ...claim, fingerprint, leaseMs: 1000, keepMs: 1000, takeOver: true });
    await storage.complete(claim, Buffer.from('garbage'), 60_000);

    expect(await codeOf(service.run(job('k'), () => 'never'))).toBe('record-unreadable');
  });
});

describe('an operator’s call while the storage does not answer', () => {
  it.each<[StorageMethod, (service: IdempotencyService) => Promise<unknown>]>([
    ['get', (service) => service.inspect('id')],
    ['get', (service) => service.resolve('id', 'rerun')],
    ['forget', (service) => service.forget('id')],
  ])('ends with storage-unavailable within storageTimeout (%s)', async (method, call) => {
    const storage = faultyStorage(memoryStorage());
    const service = await startService({ storage, storageTimeout: '100ms' });
    const held = storage.holdCall(method);

    expect(await codeOf(call(service))).toBe('storage-unavailable');
    held.open();
  });

  it('is told apart from a decision that was made: resolve() says when it is not confirmed', async () => {
    const storage = faultyStorage(memoryStorage());
    const service = await startService({ storage, storageTimeout: '100ms' });
    await service.run(job('k'), () => Promise.reject(new Error('a bug'))).catch(() => {});
    storage.rejectNext('complete', Infinity);

    expect(await codeOf(service.resolve(service.recordId(job('k')), { value: 1 }))).toBe(
      'storage-unavailable',
    );
    storage.heal();
  });

  it('ends with storage-unavailable when the storage refuses', async () => {
    const storage = faultyStorage(memoryStorage());
    const service = await startService({ storage });
    storage.rejectNext('get');
    expect(await codeOf(service.inspect('id'))).toBe('storage-unavailable');
    storage.rejectNext('purgeExpired');
    expect(await codeOf(service.purgeExpired())).toBe('storage-unavailable');
  });
});
