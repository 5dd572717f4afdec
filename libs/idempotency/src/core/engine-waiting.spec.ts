import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  EngineWorld,
  kindsOf,
  MINUTE,
  result,
  runOf,
  SECOND,
  textOf,
  USUAL,
  type SimulatedProcess,
} from '../../../../test/support/engine-world.js';
import type { BeginOutcome, BeginRequest } from './idempotency-engine.js';

const WAIT = { inFlight: 'wait' } as const;

describe('Waiting for a run', () => {
  let world: EngineWorld;
  let here: SimulatedProcess;
  let there: SimulatedProcess;

  beforeEach(() => {
    world = new EngineWorld();
    here = world.process();
    there = world.process();
  });
  afterEach(async () => expect(await world.end()).toBe(0));

  const crowd = (process: SimulatedProcess, request: Partial<BeginRequest> = {}) =>
    Array.from({ length: 50 }, () => process.begin({ ...WAIT, ...request }));

  /** Waits for those of a crowd who have been answered by now. */
  const answered = async (begun: readonly Promise<BeginOutcome>[]): Promise<BeginOutcome[]> => {
    const seen = await Promise.all(begun.map((one) => world.peek(one)));
    return seen.filter((one) => one !== 'pending');
  };

  /** When the storage is asked from now on, counted from now. */
  const claimTimes = (): number[] => {
    const start = world.clock.monotonicMs();
    const times: number[] = [];
    const claim = world.memory.claim.bind(world.memory);
    world.memory.claim = (id, request) => {
      times.push(world.clock.monotonicMs() - start);
      return claim(id, request);
    };
    return times;
  };

  describe('of this process', () => {
    it('ends with the recorded outcome, in the moment it is recorded and without a storage call', async () => {
      const run = await here.run();
      const waiters = crowd(here);
      here.storage.clearCalls();
      await world.advance(4 * SECOND);
      expect(await answered(waiters)).toEqual([]);
      await run.complete(result('done'), MINUTE);
      const outcomes = await answered(waiters);
      expect(kindsOf(outcomes)).toEqual({ replay: 50 });
      expect(outcomes).toContainEqual({ kind: 'replay', result: result('done'), expiresInMs: MINUTE });
      expect(here.calls('claim')).toBe(0);
    });

    it('lets exactly one of 50 run when the first releases, and the others wait for that one', async () => {
      const first = await here.run();
      const waiters = crowd(here);
      await world.advance(SECOND);
      here.storage.clearCalls();
      await first.release({ forget: false });
      const [next, ...more] = await answered(waiters);
      expect(more).toEqual([]);
      expect(here.calls('claim')).toBe(1);
      const second = runOf(next as BeginOutcome);
      expect(second.attempt).toBe(2);
      await second.complete(result('second'), MINUTE);
      expect(kindsOf(await answered(waiters))).toEqual({ run: 1, replay: 49 });
    });

    it('ends as in progress when the time is up, for each waiter at its own time', async () => {
      await here.run();
      const waits = [SECOND, 2 * SECOND, 3 * SECOND].map((waitTimeoutMs) =>
        here.begin({ ...WAIT, waitTimeoutMs }),
      );
      await world.advance(SECOND - 1);
      expect(await answered(waits)).toEqual([]);
      for (let count = 1; count <= 3; count += 1) {
        await world.advance(count === 1 ? 1 : SECOND);
        expect(kindsOf(await answered(waits))).toEqual({ in_progress: count });
      }
    });

    it('never ends with an outcome that is not stored yet', async () => {
      const run = await here.run();
      const [soon, later] = [here.begin(WAIT), here.begin({ ...WAIT, waitTimeoutMs: MINUTE })];
      here.storage.rejectNext('complete', Infinity);
      const completed = run.complete(result('done'), MINUTE);
      await world.advance(5 * SECOND);
      expect(await completed).toBe('unrecorded');
      expect(await world.peek(soon)).toMatchObject({ kind: 'in_progress' });
      expect(await world.peek(later)).toBe('pending');
      here.storage.heal();
      await world.advance(2 * SECOND);
      expect(textOf(await later)).toBe('done');
    });

    it('goes on with the storage when the lease is lost', async () => {
      await here.run();
      const waiter = here.begin({ ...WAIT, waitTimeoutMs: 2 * MINUTE });
      here.loop.block();
      await world.advance(USUAL.leaseMs);
      const taken = await there.run();
      here.loop.unblock();
      await world.advance(SECOND);
      expect(await world.peek(waiter)).toBe('pending');
      await taken.complete(result('from there'), MINUTE);
      await world.advance(SECOND);
      expect(textOf(await waiter)).toBe('from there');
    });
  });

  describe('of another process', () => {
    it('shares one poll among 50 waiters, at 10, 20, 40 … 250 ms with jitter', async () => {
      await here.run();
      const times = claimTimes();
      const waiters = crowd(there);
      await world.advance(5 * SECOND);
      expect(kindsOf(await answered(waiters))).toEqual({ in_progress: 50 });
      const pauses = times.map((time, index) => time - (times[index - 1] ?? 0)).slice(1, -1);
      expect(times[0]).toBe(0);
      pauses.forEach((pause, index) => {
        const full = Math.min(10 * 2 ** index, 250);
        expect(pause).toBeGreaterThanOrEqual(full * 0.75);
        expect(pause).toBeLessThanOrEqual(full);
      });
      expect(pauses.length).toBeGreaterThan(20);
      expect(new Set(pauses.slice(6)).size).toBeGreaterThan(1);
    });

    it('ends with the recorded outcome at the next look', async () => {
      const run = await here.run();
      const waiters = crowd(there);
      await world.advance(2 * SECOND);
      await run.complete(result('done'), MINUTE);
      await world.advance(250);
      const outcomes = await answered(waiters);
      expect(kindsOf(outcomes)).toEqual({ replay: 50 });
      expect(new Set(outcomes.map(textOf))).toEqual(new Set(['done']));
    });

    it('lets exactly one of 100 in two processes run when the first releases', async () => {
      const third = world.process();
      const first = await here.run();
      const waiters = [...crowd(there), ...crowd(third)];
      await world.advance(SECOND);
      await first.release({ forget: false });
      await world.advance(SECOND);
      const [next, ...more] = await answered(waiters);
      expect(more).toEqual([]);
      await runOf(next as BeginOutcome).complete(result('second'), MINUTE);
      await world.advance(SECOND);
      expect(kindsOf(await answered(waiters))).toEqual({ run: 1, replay: 99 });
    });

    it('takes over when the other process has crashed and its lease is over', async () => {
      await here.run();
      here.loop.die();
      const waiters = crowd(there, { waitTimeoutMs: MINUTE });
      await world.advance(USUAL.leaseMs + 250);
      const [next, ...more] = await answered(waiters);
      expect(more).toEqual([]);
      expect(runOf(next as BeginOutcome).previous).toBe('expired');
    });

    it('outlives the waiter who polls: the next one polls on at the same pace', async () => {
      const run = await here.run();
      const times = claimTimes();
      const poller = there.begin({ ...WAIT, waitTimeoutMs: SECOND });
      await world.clock.settle();
      const waiters = crowd(there);
      await world.advance(SECOND);
      expect(kindsOf(await answered([poller, ...waiters]))).toEqual({ in_progress: 1 });
      const before = times.length;
      await world.advance(SECOND);
      expect(times.length - before).toBeGreaterThanOrEqual(4);
      expect(times.length - before).toBeLessThanOrEqual(6);
      await run.complete(result('done'), MINUTE);
      await world.advance(250);
      expect(kindsOf(await answered(waiters))).toEqual({ replay: 50 });
    });

    it('ends for each waiter at its own time, and the last one closes the poll', async () => {
      await here.run();
      const limits = [3, 1, 2, 1, 3, 2].map((seconds) => seconds * SECOND);
      const waiters = limits.map((waitTimeoutMs) => there.begin({ ...WAIT, waitTimeoutMs }));
      for (const count of [2, 4, 6]) {
        await world.advance(SECOND - 1);
        expect(await answered(waiters)).toHaveLength(count - 2);
        await world.advance(1);
        expect(kindsOf(await answered(waiters))).toEqual({ in_progress: count });
      }
      there.storage.clearCalls();
      await world.advance(MINUTE);
      expect(there.calls()).toBe(0);
    });

    it('refuses another request before it waits, and a waiter whose key went to another request meanwhile', async () => {
      const run = await here.run();
      const waiter = there.begin(WAIT);
      expect(await there.begin({ ...WAIT, fingerprint: 'another' })).toEqual({ kind: 'reused' });
      await run.release({ forget: true });
      await here.run({ fingerprint: 'the corrected request' });
      await world.advance(250);
      expect(await world.peek(waiter)).toEqual({ kind: 'reused' });
    });

    it('answers who does not wait at once, and keeps its pace meanwhile', async () => {
      const run = await here.run();
      const waiter = there.begin(WAIT);
      await world.advance(2 * SECOND);
      const times = claimTimes();
      let refused = 0;
      for (let count = 0; count < 100; count += 1) {
        const outcome = await world.peek(there.begin());
        if (outcome !== 'pending' && outcome.kind === 'in_progress') refused += 1;
        await world.advance(10);
      }
      expect(refused).toBe(100);
      expect(times.length - refused).toBeLessThanOrEqual(6);
      await run.complete(result('done'), MINUTE);
      await world.advance(250);
      expect(textOf(await waiter)).toBe('done');
    });

    it('keeps its pace when every look finds somebody who is asking already', async () => {
      await here.run();
      void there.begin({ ...WAIT, waitTimeoutMs: MINUTE });
      await world.advance(2 * SECOND);
      there.storage.clearCalls();
      for (let count = 0; count < 8; count += 1) {
        const gate = there.storage.holdCall('claim');
        void there.begin();
        await world.advance(250);
        gate.open();
        await world.advance(300);
      }
      const looks = there.calls('claim') - 8;
      expect(looks).toBeGreaterThan(4);
      expect(looks).toBeLessThanOrEqual(16);
    });

    it('follows who does not wait when that one comes first to a released record', async () => {
      const first = await here.run();
      const waiters = crowd(there);
      await world.advance(2 * SECOND);
      await first.release({ forget: false });
      const second = await there.run();
      await world.advance(250);
      expect(await answered(waiters)).toEqual([]);
      await second.complete(result('second'), MINUTE);
      expect(kindsOf(await answered(waiters))).toEqual({ replay: 50 });
    });

    it('ends as unavailable when the storage fails', async () => {
      await here.run();
      const waiters = crowd(there);
      await world.advance(SECOND);
      there.storage.rejectNext('claim', Infinity);
      await world.advance(SECOND);
      expect(kindsOf(await answered(waiters))).toEqual({ unavailable: 50 });
      expect(there.heard().filter((type) => type === 'storage-failed')).toHaveLength(1);
    });
  });
});
