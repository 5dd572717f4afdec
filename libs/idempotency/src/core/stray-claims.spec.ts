import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../testing/fake-clock.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { RecordUnreadableError } from './errors.js';
import type { ClaimOutcome, OwnerOutcome } from './idempotency-storage.js';
import { StrayClaims } from './stray-claims.js';
import { TimerScope } from './timer-scope.js';

const CLAIMED: ClaimOutcome = { kind: 'claimed', attempt: 1, previous: 'none', steps: new Map() };
const REFUSED: ClaimOutcome = { kind: 'in_progress', fingerprint: 'fp', leaseRemainingMs: 5 };

describe('StrayClaims', () => {
  let clock: FakeClock;
  let timers: TimerScope;
  let strays: StrayClaims;
  let released: string[];
  let release: () => Promise<OwnerOutcome>;

  beforeEach(() => {
    clock = new FakeClock();
    timers = new TimerScope(clock.timers);
    released = [];
    release = async () => 'applied';
    const storage = {
      release: ({ ownerToken }: { ownerToken: string }, options: { forget: boolean }) => {
        released.push(options.forget ? ownerToken : 'kept');
        return release();
      },
    };
    strays = new StrayClaims(storage, clock, timers, seededRandomness(1));
  });

  const add = (ownerToken: string, calls: readonly Promise<ClaimOutcome>[], id = 'a') => {
    const asked = calls.map(async (call) => ({ outcome: await call }));
    strays.add({
      claim: { id, ownerToken },
      calls: asked,
      forget: true,
      leaseMs: 30_000,
      storageTimeoutMs: 1000,
    });
  };
  const down = () => Promise.reject(new Error('down'));

  it.each([
    ['claimed', [Promise.resolve(CLAIMED)], 1],
    ['claimed by one of two calls', [Promise.resolve(REFUSED), Promise.resolve(CLAIMED)], 1],
    ['perhaps claimed', [Promise.reject(new Error('connection lost'))], 1],
    ['refused', [Promise.resolve(REFUSED)], 0],
    ['unreadable', [Promise.reject(new RecordUnreadableError('odd'))], 0],
  ])('releases what was %s', async (_, calls, count) => {
    add('token', calls);
    await strays.settled();
    expect(released).toEqual(Array<string>(count).fill('token'));
    expect(strays.of('a')).toBeUndefined();
  });

  it('waits for the answers to all questions: one that comes later would claim again', async () => {
    let answer = (_outcome: ClaimOutcome): void => undefined;
    const later = new Promise<ClaimOutcome>((resolve) => (answer = resolve));
    add('token', [Promise.resolve(CLAIMED), later]);
    await clock.advance(60_000);
    expect(released).toEqual([]);
    expect(strays.of('a')).toBeDefined();
    answer(REFUSED);
    await strays.settled();
    expect(released).toEqual(['token']);
  });

  it('are gone when all those of the same id are', async () => {
    let answer = (_outcome: ClaimOutcome): void => undefined;
    add('first', [new Promise((resolve) => (answer = resolve))]);
    add('second', [Promise.resolve(CLAIMED)]);
    let gone = false;
    void strays.of('a')?.then(() => (gone = true));
    await clock.settle();
    expect([released, gone]).toEqual([['second'], false]);
    answer(CLAIMED);
    await clock.settle();
    expect([released, gone, strays.of('a')]).toEqual([['second', 'first'], true, undefined]);
  });

  it('are released one at a time, each as often as it takes', async () => {
    let underWay = 0;
    let most = 0;
    release = () => {
      underWay += 1;
      most = Math.max(most, underWay);
      return new Promise((resolve, reject) =>
        clock.timers.set(10, () => {
          underWay -= 1;
          if (released.length <= 3) reject(new Error('down'));
          else resolve('applied');
        }),
      );
    };
    for (const token of ['1', '2', '3', '4']) add(token, [Promise.resolve(CLAIMED)], token);
    await clock.advance(5000);
    expect(released).toEqual(['1', '2', '3', '4', '1', '2', '3']);
    expect(most).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('are tried at most every two seconds while the storage is down or silent, and given up after ten minutes', async () => {
    for (const failing of [down, () => new Promise<never>(() => undefined)]) {
      released = [];
      release = failing;
      add('token', [Promise.resolve(CLAIMED)]);
      await clock.advance(600_000);
      expect(released.length).toBeGreaterThan(150);
      expect(released.length).toBeLessThan(620);
      await clock.advance(5000);
      expect([strays.of('a'), clock.pendingTimers]).toEqual([undefined, 0]);
    }
  });

  it('are given up at once when the record cannot be read', async () => {
    release = () => Promise.reject(new RecordUnreadableError('odd'));
    add('token', [Promise.resolve(CLAIMED)]);
    await strays.settled();
    expect(released).toEqual(['token']);
  });

  it('are given up when the timers are closed', async () => {
    release = down;
    for (const id of ['a', 'b', 'c']) add(id, [Promise.resolve(CLAIMED)], id);
    await clock.advance(5000);
    released = [];
    timers.close();
    await strays.settled();
    expect([released, clock.pendingTimers]).toEqual([[], 0]);
  });

  it('do not fill the memory in a long outage', async () => {
    release = down;
    for (let index = 0; index < 11_000; index += 1) add('token', [Promise.resolve(CLAIMED)], `id ${index}`);
    await clock.settle();
    const kept = Array.from({ length: 11_000 }, (_, index) => strays.of(`id ${index}`)).filter(
      Boolean,
    ).length;
    expect(kept).toBeLessThanOrEqual(10_001);
    timers.close();
    await strays.settled();
  });
});
