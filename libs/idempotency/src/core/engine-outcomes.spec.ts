import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  EngineWorld,
  HOUR,
  MINUTE,
  result,
  SECOND,
  textOf,
  USUAL,
  type SimulatedProcess,
} from '../../../../test/support/engine-world.js';
import type { Run } from './run.js';

describe('The end of a run', () => {
  let world: EngineWorld;
  let shop: SimulatedProcess;
  let other: SimulatedProcess;
  let run: Run;

  beforeEach(async () => {
    world = new EngineWorld();
    shop = world.process();
    other = world.process();
    run = await shop.run();
    shop.forgetEvents();
  });
  afterEach(async () => expect(await world.end()).toBe(0));

  const stored = () => world.memory.get(USUAL.id);
  const complete = () => run.complete(result('done'), HOUR);
  /** What comes of an end within a time. */
  const within = async <T>(ms: number, end: Promise<T>): Promise<T | 'pending'> => {
    await world.advance(ms);
    return world.peek(end);
  };

  describe('by an outcome', () => {
    it('is recorded when the storage fails for a moment', async () => {
      shop.storage.rejectNext('complete', 4);
      expect(await within(SECOND, complete())).toBe('recorded');
      expect(textOf(await other.begin())).toBe('done');
      expect(shop.heard()).toEqual([...Array<string>(4).fill('storage-failed'), 'completed']);
    });

    it('is recorded, and not superseded, when the answer was lost after it was applied', async () => {
      shop.storage.loseAnswer('complete');
      expect(await within(SECOND, complete())).toBe('recorded');
      expect(shop.heard()).toEqual(['storage-failed', 'completed']);
    });

    it('is unrecorded after `storageTimeout`, to the millisecond, when the storage hangs', async () => {
      shop.storage.holdCall('complete', Infinity);
      const end = complete();
      expect(await within(SECOND - 1, end)).toBe('pending');
      expect(await within(1, end)).toBe('unrecorded');
      expect(shop.heard()).toEqual(['storage-failed', 'unrecorded']);
    });

    it('is unrecorded within `storageTimeout` when the storage is down', async () => {
      shop.storage.rejectNext('complete', Infinity);
      expect(await within(SECOND, complete())).toBe('unrecorded');
      expect(shop.calls('complete')).toBeLessThan(10);
      expect(shop.heard().slice(-2)).toEqual(['storage-failed', 'unrecorded']);
    });

    it('goes on being stored in the background, with its lease renewed, until it is', async () => {
      shop.storage.rejectNext('complete', Infinity);
      expect(await within(SECOND, complete())).toBe('unrecorded');
      await world.advance(5 * MINUTE);
      expect(await other.begin()).toMatchObject({ kind: 'in_progress' });
      expect(await shop.begin()).toMatchObject({ kind: 'in_progress' });
      shop.forgetEvents();
      shop.storage.heal();
      await world.advance(2 * SECOND);
      expect(textOf(await other.begin())).toBe('done');
      expect(shop.heard()).toEqual(['completed']);
      shop.storage.clearCalls();
      await world.advance(HOUR);
      expect([shop.calls(), shop.engine.running]).toEqual([0, 0]);
    });

    it('is stored by a late answer too, once, when every answer takes longer than `storageTimeout`', async () => {
      shop.storage.complete = slowly(shop.storage.complete.bind(shop.storage), 1500);
      expect(await within(SECOND, complete())).toBe('unrecorded');
      await world.advance(MINUTE);
      expect(shop.heard()).toEqual(['storage-failed', 'unrecorded', 'completed']);
      expect(shop.calls('complete')).toBeLessThanOrEqual(2);
    });

    it('is superseded in the background when another run took over meanwhile', async () => {
      shop.storage.rejectNext('complete', Infinity);
      shop.storage.rejectNext('renew', Infinity);
      expect(await within(SECOND, complete())).toBe('unrecorded');
      await world.advance(USUAL.leaseMs);
      const next = await other.run();
      shop.storage.heal();
      await world.advance(2 * SECOND);
      expect(shop.heard().filter((type) => type !== 'storage-failed')).toEqual(['unrecorded', 'superseded']);
      expect(await next.complete(result('the second'), HOUR)).toBe('recorded');
    });

    it('is dropped when `maxRun` is over, and a retry runs', async () => {
      shop.storage.rejectNext('complete', Infinity);
      expect(await within(SECOND, complete())).toBe('unrecorded');
      await world.advance(USUAL.maxRunMs + USUAL.leaseMs);
      expect(shop.heard().filter((type) => type !== 'storage-failed')).toEqual([
        'unrecorded',
        'outcome-dropped',
      ]);
      expect(shop.engine.running).toBe(0);
      expect(await other.run()).toMatchObject({ attempt: 2, previous: 'expired' });
    });

    it('is tried for a lease when the run ended just before its `maxRun`', async () => {
      await world.advance(USUAL.maxRunMs - SECOND);
      shop.forgetEvents();
      shop.storage.rejectNext('complete', Infinity);
      expect(await within(SECOND, complete())).toBe('unrecorded');
      await world.advance(USUAL.leaseMs - 5 * SECOND);
      shop.storage.heal();
      await world.advance(2 * SECOND);
      expect(shop.heard().at(-1)).toBe('completed');
    });

    it('is superseded when another run has taken over, and changes nothing', async () => {
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(USUAL.leaseMs);
      const next = await other.run();
      const before = await stored();
      shop.forgetEvents();
      expect(await complete()).toBe('superseded');
      expect(await stored()).toEqual(before);
      expect(shop.heard()).toEqual(['superseded']);
      expect(await next.complete(result('the second'), HOUR)).toBe('recorded');
    });

    it('is recorded although nobody could confirm the lease, when nobody took over', async () => {
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(2 * USUAL.leaseMs);
      expect(run.signal.aborted).toBe(true);
      expect(await complete()).toBe('recorded');
      expect(shop.heard().filter((type) => type !== 'storage-failed')).toEqual(['lease-lost', 'completed']);
    });

    it('leaves the run open when it cannot be written down at all', async () => {
      const cyclic: Record<string, unknown> = {};
      cyclic['self'] = cyclic;
      await expect(run.complete({ ...result('done'), meta: cyclic }, HOUR)).rejects.toThrow(TypeError);
      expect(await run.release({ forget: false })).toBe('released');
    });
  });

  describe('by a release', () => {
    it('is heard when the storage fails for a moment', async () => {
      shop.storage.rejectNext('release', 2);
      expect(await within(SECOND, run.release({ forget: false }))).toBe('released');
      expect(shop.heard()).toEqual(['storage-failed', 'storage-failed', 'released']);
    });

    it('is a release, and not superseded, when the answer was lost after it was applied', async () => {
      shop.storage.loseAnswer('release');
      expect(await within(SECOND, run.release({ forget: false }))).toBe('released');
      expect(shop.heard()).toEqual(['storage-failed', 'released']);
    });

    it('goes on in the background after `storageTimeout`, and then a retry runs', async () => {
      const gate = shop.storage.holdCall('release', Infinity);
      const end = run.release({ forget: false });
      expect(await within(SECOND - 1, end)).toBe('pending');
      expect(await within(1, end)).toBe('unreleased');
      await world.advance(MINUTE);
      expect(await shop.begin()).toMatchObject({ kind: 'in_progress' });
      gate.open();
      await world.clock.settle();
      expect(await other.run()).toMatchObject({ attempt: 2, previous: 'released' });
      expect(shop.heard()).toEqual(['storage-failed', 'in-progress', 'released']);
    });

    it('is given up when `maxRun` is over, without a word about an outcome', async () => {
      shop.storage.rejectNext('release', Infinity);
      void run.release({ forget: false });
      await world.advance(USUAL.maxRunMs + USUAL.leaseMs);
      expect(new Set(shop.heard())).toEqual(new Set(['storage-failed']));
      expect([shop.engine.running, world.clock.pendingTimers]).toEqual([0, 0]);
    });

    it('is superseded when another run has taken over, and changes nothing', async () => {
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(USUAL.leaseMs);
      await other.run();
      const before = await stored();
      shop.forgetEvents();
      expect(await run.release({ forget: true })).toBe('superseded');
      expect(await stored()).toEqual(before);
      expect(shop.heard()).toEqual(['superseded']);
    });
  });

  describe('that another run here has followed', () => {
    const overtaken = async () => {
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(USUAL.leaseMs);
      const between = await other.run();
      shop.storage.heal();
      await world.advance(10 * SECOND);
      await between.release({ forget: false });
      const next = await shop.run();
      shop.forgetEvents();
      return next;
    };

    it('does not end that one: its duplicates are still answered from it', async () => {
      await overtaken();
      expect(await complete()).toBe('superseded');
      shop.storage.clearCalls();
      expect(await shop.begin()).toMatchObject({ kind: 'in_progress' });
      expect(shop.calls('claim')).toBe(0);
    });

    it('is superseded also when the first call of its release fails', async () => {
      const next = await overtaken();
      shop.storage.rejectNext('release');
      expect(await within(SECOND, run.release({ forget: false }))).toBe('superseded');
      expect(shop.heard()).toEqual(['storage-failed', 'superseded']);
      expect(await next.complete(result('the second'), HOUR)).toBe('recorded');
    });
  });

  describe('and its steps', () => {
    it('are saved when the storage fails for a moment', async () => {
      shop.storage.rejectNext('saveStep', 2);
      expect(await within(SECOND, run.saveStep('charge', Buffer.from('ch_1')))).toBe('applied');
      expect([...((await stored())?.steps.keys() ?? [])]).toEqual(['charge']);
    });

    it('are an error when the storage is down, or silent for `storageTimeout`', async () => {
      shop.storage.rejectNext('saveStep', Infinity, new Error('down'));
      const failed = run.saveStep('charge', Buffer.from('ch_1')).catch((error: Error) => error.message);
      expect(await within(SECOND, failed)).toBe('down');
      shop.storage.heal();
      shop.storage.holdCall('saveStep');
      const silent = run.saveStep('charge', Buffer.from('ch_1')).catch((error: Error) => error.message);
      expect(await within(SECOND - 1, silent)).toBe('pending');
      expect(await within(1, silent)).toMatch(/did not answer within 1000 ms/);
    });

    it('tell at once that the lease was taken over', async () => {
      await world.memory.forget(USUAL.id);
      await other.run();
      expect(run.signal.aborted).toBe(false);
      expect(await run.saveStep('charge', Buffer.from('ch_1'))).toBe('lease_lost');
      expect(run.signal.aborted).toBe(true);
      await world.advance(MINUTE);
      expect(shop.heard()).toEqual(['lease-lost']);
    });
  });

  const slowly =
    <A extends unknown[], T>(call: (...args: A) => Promise<T>, ms: number) =>
    async (...args: A): Promise<T> => {
      const answer = await call(...args);
      await new Promise<void>((resolve) => world.clock.timers.set(ms, resolve));
      return answer;
    };
});
