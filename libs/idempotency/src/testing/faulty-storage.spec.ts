import { describe, expect, it } from '@jest/globals';
import { MemoryStorage } from '../core/memory-storage.js';
import { FakeClock } from './fake-clock.js';
import { faultyStorage } from './faulty-storage.js';
import { storageContract } from './storage-contract.js';

const asked = { ownerToken: 'me', fingerprint: 'fp', leaseMs: 1000, keepMs: 1000, takeOver: true };
const claim = { id: 'a', ownerToken: 'me' };

function open() {
  const clock = new FakeClock();
  const inner = new MemoryStorage({ clock });
  return { clock, inner, storage: faultyStorage(inner) };
}

describe('faultyStorage without a command keeps the storage contract', () => {
  for (const clause of storageContract) {
    it(clause.name, async () => {
      const { clock, storage } = open();
      await clause.run({ storage, openPeer: async () => storage, advance: (ms) => clock.advance(ms) });
    });
  }
});

describe('faultyStorage', () => {
  it('rejects the next calls of one method before they reach the storage', async () => {
    const { inner, storage } = open();
    storage.rejectNext('claim', 2, new Error('down'));
    await expect(storage.claim('a', asked)).rejects.toThrow('down');
    await expect(storage.claim('a', asked)).rejects.toThrow('down');
    expect(await inner.get('a')).toBeUndefined();
    expect(await storage.get('a')).toBeUndefined();
    expect(await storage.claim('a', asked)).toMatchObject({ kind: 'claimed' });
  });

  it('applies a call and loses its answer', async () => {
    const { inner, storage } = open();
    await storage.claim('a', asked);
    storage.loseAnswer('complete');
    await expect(storage.complete(claim, new Uint8Array(1), 1000)).rejects.toThrow(/Connection lost/);
    expect((await inner.get('a'))?.state).toBe('completed');
  });

  it('holds a call before it reaches the storage until the gate opens', async () => {
    const { inner, storage } = open();
    const gate = storage.holdCall('claim');
    const call = storage.claim('a', asked);
    await gate.reached();
    expect(await inner.get('a')).toBeUndefined();
    gate.open();
    expect(await call).toMatchObject({ kind: 'claimed' });
  });

  it('holds an answer until the gate opens', async () => {
    const { inner, storage } = open();
    const gate = storage.holdAnswer('claim');
    const call = storage.claim('a', asked);
    await gate.reached();
    expect(await inner.get('a')).toBeDefined();
    expect(storage.calls('claim')).toMatchObject([{ reached: true, outcome: 'pending' }]);
    gate.open();
    expect(await call).toMatchObject({ kind: 'claimed' });
  });

  it('rejects held calls when the gate fails, without touching the storage', async () => {
    const { inner, storage } = open();
    const gate = storage.holdCall('claim', 2);
    const calls = [storage.claim('a', asked), storage.claim('b', asked)];
    await gate.reached(2);
    gate.fail(new Error('reset'));
    for (const call of calls) await expect(call).rejects.toThrow('reset');
    expect(await inner.get('a')).toBeUndefined();
  });

  it('uses up commands in the order in which they were given, each method its own', async () => {
    const { storage } = open();
    storage.rejectNext('get', 1, new Error('first'));
    storage.rejectNext('get', 1, new Error('second'));
    await storage.claim('a', asked);
    await expect(storage.get('a')).rejects.toThrow('first');
    await expect(storage.get('a')).rejects.toThrow('second');
    expect(await storage.get('a')).toBeDefined();
  });

  it('is down until it is healed', async () => {
    const { storage } = open();
    storage.rejectNext('claim', Infinity);
    const gate = storage.holdCall('get');
    const held = storage.get('a');
    await gate.reached();
    for (let count = 0; count < 5; count += 1) await expect(storage.claim('a', asked)).rejects.toThrow();
    storage.heal();
    expect(await held).toBeUndefined();
    expect(await storage.claim('a', asked)).toMatchObject({ kind: 'claimed' });
  });

  it('fails a search', async () => {
    const { storage } = open();
    storage.rejectNext('find');
    const search = async () => {
      for await (const record of storage.find({ idPrefix: '' })) return record;
      return undefined;
    };
    await expect(search()).rejects.toThrow(/Connection lost/);
    expect(await search()).toBeUndefined();
  });

  it('logs every call with its ids, whether it got through and what the caller got', async () => {
    const { storage } = open();
    storage.rejectNext('claim');
    await storage.claim('a', asked).catch(() => undefined);
    await storage.claim('a', asked);
    await storage.renew([
      { claim, leaseMs: 1000 },
      { claim: { ...claim, id: 'b' }, leaseMs: 1000 },
    ]);
    expect(storage.calls()).toEqual([
      { method: 'claim', ids: ['a'], reached: false, outcome: 'rejected' },
      { method: 'claim', ids: ['a'], reached: true, outcome: 'answered' },
      { method: 'renew', ids: ['a', 'b'], reached: true, outcome: 'answered' },
    ]);
    expect(storage.calls('renew')).toHaveLength(1);
    storage.clearCalls();
    expect(storage.calls()).toEqual([]);
  });

  it('has the optional methods only when the storage has them', () => {
    const { inner, storage } = open();
    expect([storage.start, storage.stop, storage.waitForChange]).toEqual([undefined, undefined, undefined]);
    const more = faultyStorage(
      Object.assign(inner, { start: async () => undefined, waitForChange: async () => undefined }),
    );
    expect([typeof more.start, typeof more.stop, typeof more.waitForChange]).toEqual([
      'function',
      'undefined',
      'function',
    ]);
    expect([more.name, more.shared]).toEqual(['memory', false]);
  });
});
