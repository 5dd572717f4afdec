import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaimOutcome } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { memoryStorage } from '../../libs/idempotency/src/index.js';
import { FakeClock, MemoryStorage, storageContract } from '../../libs/idempotency/src/testing/index.js';
import { describeContract } from './contract-column.js';

describeContract('memory', async () => {
  const storage = memoryStorage();
  await storage.start?.();
  // Memory is one process's: the other instance of its data is itself.
  return { storage, openPeer: async () => storage, advance: (ms) => sleep(ms) };
});

// One clause at a time, each with a storage of its own: here the clock is moved by hand.
describe('MemoryStorage keeps the storage contract on a clock that is moved by hand', () => {
  for (const clause of storageContract) {
    it(clause.name, async () => {
      const clock = new FakeClock();
      const storage = new MemoryStorage({ clock });
      // Memory is one process's: the other instance of its data is itself.
      await clause.run({ storage, openPeer: async () => storage, advance: (ms) => clock.advance(ms) });
    });
  }
});

describe('MemoryStorage', () => {
  const leaseMs = 1000;
  const keepMs = 1000;

  function open(maxRecords?: number) {
    const clock = new FakeClock();
    const storage = new MemoryStorage({ clock, maxRecords });
    const claim = (id: string, ownerToken = id): Promise<ClaimOutcome> =>
      storage.claim(id, { ownerToken, fingerprint: 'fp', leaseMs, keepMs, takeOver: true });
    return { clock, storage, claim };
  }

  it('refuses a new key when it is full of live records, and names `maxRecords` and the mend', async () => {
    const { claim, storage } = open(2);
    await claim('a');
    await claim('b');
    await expect(claim('c')).rejects.toMatchObject({
      code: 'storage-unavailable',
      message: expect.stringMatching(/`maxRecords`.*Raise `maxRecords`, shorten `ttl`, or use redisStorage/s),
    });
    expect(await storage.get('a')).toBeDefined();
    expect(await storage.get('b')).toBeDefined();
    expect(await storage.get('c')).toBeUndefined();
  });

  it('goes on with the keys it knows when it is full', async () => {
    const { claim, clock, storage } = open(1);
    await claim('a');
    expect(await claim('a', 'other')).toMatchObject({ kind: 'in_progress' });
    await clock.advance(leaseMs);
    expect(await claim('a', 'other')).toMatchObject({ kind: 'claimed', attempt: 2 });
    const owner = { id: 'a', ownerToken: 'other' };
    expect(await storage.complete(owner, new Uint8Array(1), 10_000)).toBe('applied');
    expect(await claim('a', 'third')).toMatchObject({ kind: 'completed' });
  });

  it('takes a new key in the place of an expired record, whichever was renewed or completed meanwhile', async () => {
    const { claim, clock, storage } = open(3);
    await claim('renewed');
    await claim('completed');
    await claim('expired');
    await storage.renew([{ claim: { id: 'renewed', ownerToken: 'renewed' }, leaseMs: 60_000 }]);
    await storage.complete({ id: 'completed', ownerToken: 'completed' }, new Uint8Array(1), 60_000);
    await clock.advance(leaseMs + keepMs);
    expect(await claim('new')).toMatchObject({ kind: 'claimed', attempt: 1 });
    await expect(claim('newer')).rejects.toMatchObject({ code: 'storage-unavailable' });
    expect(await storage.get('renewed')).toBeDefined();
    expect(await storage.get('completed')).toBeDefined();
  });

  it('takes a record that ended sooner than it was expected to before those that live longer', async () => {
    const { claim, clock, storage } = open(2);
    await claim('short');
    await claim('long');
    await storage.complete({ id: 'short', ownerToken: 'short' }, new Uint8Array(1), 10);
    await clock.advance(10);
    expect(await claim('new')).toMatchObject({ kind: 'claimed' });
    expect(await storage.get('long')).toBeDefined();
  });

  it('claims an expired id again in its own place when it is full', async () => {
    const { claim, clock } = open(1);
    await claim('a');
    await clock.advance(leaseMs + keepMs);
    expect(await claim('a', 'later')).toMatchObject({ kind: 'claimed', attempt: 1, previous: 'none' });
  });

  it('has room again after forget, release with forget, and purge', async () => {
    const { claim, clock, storage } = open(1);
    await claim('a');
    await storage.forget('a');
    await claim('b');
    await storage.release({ id: 'b', ownerToken: 'b' }, { forget: true });
    await claim('c');
    await clock.advance(leaseMs + keepMs);
    expect(await storage.purgeExpired(10)).toBe(1);
    expect(await storage.purgeExpired(10)).toBe(0);
    expect(await claim('d')).toMatchObject({ kind: 'claimed' });
  });

  it('drops expired records as new ones come, so that memory falls without a purge', async () => {
    const { claim, clock, storage } = open();
    for (let index = 0; index < 10; index += 1) await claim(`old-${index}`);
    await clock.advance(leaseMs + keepMs);
    for (let index = 0; index < 5; index += 1) await claim(`new-${index}`);
    expect(await storage.purgeExpired(10)).toBe(0);
  });

  it('needs no timer', async () => {
    const { claim, clock } = open();
    await claim('a');
    expect(clock.pendingTimers).toBe(0);
  });

  it('holds 100 000 records by default, and refuses quickly when they are all alive', async () => {
    const { claim } = open();
    for (let index = 0; index < 100_000; index += 1) await claim(`old-${index}`);
    const start = performance.now();
    for (let index = 0; index < 5000; index += 1) {
      await expect(claim(`new-${index}`)).rejects.toMatchObject({ code: 'storage-unavailable' });
    }
    // Looking through all records for each of these claims would take more than ten times as long.
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity])('refuses `maxRecords: %p`', (maxRecords) => {
    expect(() => new MemoryStorage({ clock: new FakeClock(), maxRecords })).toThrow(/`maxRecords`/);
  });
});
