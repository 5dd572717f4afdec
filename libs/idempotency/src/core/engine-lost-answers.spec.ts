import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  EngineWorld,
  kindsOf,
  MINUTE,
  result,
  SECOND,
  textOf,
  USUAL,
  type SimulatedProcess,
} from '../../../../test/support/engine-world.js';
import { RecordUnreadableError } from './errors.js';

describe('A claim whose answer is lost', () => {
  let world: EngineWorld;
  let shop: SimulatedProcess;
  let other: SimulatedProcess;

  beforeEach(() => {
    world = new EngineWorld();
    shop = world.process();
    other = world.process();
  });
  afterEach(async () => expect(await world.end()).toBe(0));

  const stored = () => world.memory.get(USUAL.id);

  describe('is asked for once more with the same owner token', () => {
    const ownerTokens = (): Set<string> => {
      const tokens = new Set<string>();
      const claim = world.memory.claim.bind(world.memory);
      world.memory.claim = (id, request) => {
        tokens.add(request.ownerToken);
        return claim(id, request);
      };
      return tokens;
    };

    it.each([
      ['the storage was not reached', () => shop.storage.rejectNext('claim')],
      ['the connection broke after it was applied', () => shop.storage.loseAnswer('claim')],
      ['the question hangs', () => void shop.storage.holdCall('claim')],
      ['the answer hangs', () => void shop.storage.holdAnswer('claim')],
    ])('when %s: one run, attempt 1, in time', async (_, fault) => {
      const tokens = ownerTokens();
      fault();
      const begun = shop.begin();
      await world.advance(SECOND - 1);
      expect(await world.peek(begun)).toMatchObject({ kind: 'run', run: { attempt: 1, previous: 'none' } });
      expect(shop.calls('claim')).toBe(2);
      expect(tokens.size).toBe(1);
      expect(await other.begin()).toMatchObject({ kind: 'in_progress' });
      expect(shop.heard()).toEqual(['claimed']);
    });

    it('and leaves no claim behind when the first question still found a record that the second found no more', async () => {
      await (await other.run()).complete(result('done'), MINUTE);
      const first = shop.storage.holdAnswer('claim');
      const begun = shop.begin();
      await first.reached();
      await world.memory.forget(USUAL.id); // by another process
      const second = shop.storage.holdAnswer('claim');
      await world.advance(SECOND / 2);
      await second.reached();
      first.open();
      expect(textOf(await begun)).toBe('done');
      expect(await stored()).toMatchObject({ state: 'in_progress' });

      second.open();
      await world.advance(SECOND);
      expect(await stored()).toBeUndefined();
    });

    it('and keeps the lease alive from then on', async () => {
      shop.storage.holdAnswer('claim');
      const begun = shop.begin();
      await world.advance(5 * MINUTE);
      expect(await world.peek(begun)).toMatchObject({ kind: 'run', run: { signal: { aborted: false } } });
      expect(await other.begin()).toMatchObject({ kind: 'in_progress' });
    });
  });

  describe('twice', () => {
    it('is given up when `storageTimeout` is over, to the millisecond, for all who came meanwhile', async () => {
      shop.storage.holdAnswer('claim', 2);
      const begun = [shop.begin(), shop.begin(), shop.begin({ inFlight: 'wait' })];
      await world.advance(SECOND - 1);
      expect(await world.peek(Promise.race(begun))).toBe('pending');
      await world.advance(1);
      expect(await world.peek(Promise.all(begun).then(kindsOf))).toEqual({ unavailable: 3 });
      expect(shop.calls('claim')).toBe(2);
      expect(shop.heard()).toEqual(['storage-failed']);
    });

    it('is released when its answer arrives, and not when the time is up', async () => {
      const gate = shop.storage.holdCall('claim', 2);
      const begun = shop.begin();
      await world.advance(10 * SECOND);
      expect(await begun).toMatchObject({ kind: 'unavailable' });
      expect(shop.calls('release')).toBe(0);
      gate.open();
      await world.clock.settle();
      expect(shop.calls('release')).toBe(1);
      expect(await stored()).toBeUndefined();
    });

    it('does not block the next request: it waits for the release and runs, as attempt 1', async () => {
      const gate = shop.storage.holdAnswer('claim', 2);
      void shop.begin();
      await world.advance(SECOND);
      const next = shop.begin();
      await world.advance(300);
      expect(await world.peek(next)).toBe('pending');
      gate.open();
      expect(await world.peek(next)).toMatchObject({ kind: 'run', run: { attempt: 1, previous: 'none' } });
    });

    it('leaves the next request as in progress when even then nothing is answered in time', async () => {
      shop.storage.holdAnswer('claim', 2);
      void shop.begin();
      await world.advance(SECOND);
      const next = shop.begin();
      await world.advance(SECOND);
      expect(await world.peek(next)).toMatchObject({ kind: 'in_progress' });
    });

    it('does not slow down a request whose record is free', async () => {
      shop.storage.holdCall('claim', 2);
      void shop.begin();
      await world.advance(SECOND);
      expect(await world.peek(shop.begin())).toMatchObject({ kind: 'run' });
    });

    it('goes back to what it found: attempt, steps and crash of an earlier run', async () => {
      const crashed = await other.run();
      await crashed.saveStep('charge', Buffer.from('ch_1'));
      other.loop.die();
      await world.advance(USUAL.leaseMs);
      shop.storage.loseAnswer('claim', 2);
      const begun = shop.begin();
      await world.advance(SECOND);
      expect(await begun).toMatchObject({ kind: 'unavailable' });
      expect(await stored()).toMatchObject({ attempt: 1, released: false, leaseRemainingMs: 0 });
      expect(await shop.begin({ takeOver: false })).toEqual({ kind: 'abandoned' });
      expect(await shop.run()).toMatchObject({ attempt: 2, previous: 'expired' });
    });

    it('is released as soon as the storage is back, also after its lease, and is never taken for a crash', async () => {
      shop.storage.loseAnswer('claim', 2);
      shop.storage.rejectNext('release', Infinity);
      void shop.begin();
      await world.advance(2 * USUAL.leaseMs);
      expect(await stored()).toMatchObject({ attempt: 1, released: false });
      shop.storage.heal();
      await world.advance(2 * SECOND);
      expect(await stored()).toBeUndefined();
      expect(await shop.begin({ takeOver: false })).toMatchObject({ kind: 'run', run: { previous: 'none' } });
    });

    it('is released one at a time after an outage, and all of them', async () => {
      const ids = Array.from({ length: 200 }, (_, index) => `shop|POST /orders|${index}`);
      shop.storage.loseAnswer('claim', 400);
      shop.storage.rejectNext('release', Infinity);
      const begun = ids.map((id) => shop.begin({ id }));
      await world.advance(10 * SECOND);
      expect(kindsOf(await Promise.all(begun))).toEqual({ unavailable: 200 });
      expect(shop.calls('release')).toBeLessThan(20);
      shop.storage.heal();
      await world.advance(2 * SECOND);
      for (const id of ids) expect(await world.memory.get(id)).toBeUndefined();
      await world.advance(MINUTE);
      expect(world.clock.pendingTimers).toBe(0);
    });

    it('is released before the application stops, if that takes no longer than `storageTimeout`', async () => {
      shop.storage.loseAnswer('claim', 2);
      shop.storage.rejectNext('release', 3);
      void shop.begin();
      await world.advance(100);
      const stopped = shop.engine.stop();
      await world.advance(SECOND);
      await stopped;
      expect(await stored()).toBeUndefined();
    });
  });

  describe('for longer than its lease', () => {
    const SHORT = { leaseMs: 300 };

    it('counts as lost: it is asked for again, and the run has a whole lease', async () => {
      const gate = shop.storage.holdAnswer('claim');
      const begun = shop.begin(SHORT);
      await world.advance(400);
      gate.open();
      await world.advance(50);
      expect(await world.peek(begun)).toMatchObject({ kind: 'run', run: { attempt: 1, elapsedMs: 0 } });
    });

    it('does not run beside who took over meanwhile', async () => {
      const gate = shop.storage.holdAnswer('claim');
      const begun = shop.begin(SHORT);
      await world.advance(400);
      expect(await other.run()).toMatchObject({ attempt: 2, previous: 'expired' });
      gate.open();
      await world.advance(100);
      expect(await world.peek(begun)).toMatchObject({ kind: 'in_progress' });
    });

    it('does not run when the event loop was blocked before the answer could be read', async () => {
      const begun = shop.begin();
      shop.loop.block();
      await world.advance(USUAL.leaseMs);
      expect(await other.run()).toMatchObject({ attempt: 2 });
      shop.loop.unblock();
      await world.advance(SECOND);
      expect((await begun).kind).not.toBe('run');
      expect(await stored()).toMatchObject({ attempt: 2, state: 'in_progress' });
    });

    it('is given up when the second answer is as late as the first', async () => {
      const gates = [shop.storage.holdAnswer('claim'), shop.storage.holdAnswer('claim')];
      const begun = shop.begin(SHORT);
      await world.advance(500);
      gates[0]?.open();
      await world.advance(400);
      gates[1]?.open();
      await world.advance(100);
      expect(await begun).toMatchObject({ kind: 'unavailable' });
      await world.advance(100);
      expect(await stored()).toBeUndefined();
    });
  });

  describe('while a question is still on its way', () => {
    /** A run that was won by its second question; the first one has not reached the storage yet. */
    const runWithQuestionUnderWay = async () => {
      const gate = shop.storage.holdCall('claim');
      const begun = shop.run();
      await world.advance(SECOND / 2);
      const run = await begun;
      shop.storage.clearCalls();
      return { gate, run };
    };

    it.each([{ forget: true }, { forget: false }])(
      'blocks nobody when it arrives after the run was released with %p',
      async (options) => {
        const { gate, run } = await runWithQuestionUnderWay();
        await run.release(options);
        const after = await stored();
        gate.open();
        await world.clock.settle();
        expect(await stored()).toEqual(after);
        const attempt = options.forget ? 1 : 2;
        expect(await other.begin()).toMatchObject({ kind: 'run', run: { attempt } });
      },
    );

    it('forgets no run whose release may not have been heard, should its record come back to it', async () => {
      const { gate, run } = await runWithQuestionUnderWay();
      await run.saveStep('charge', Buffer.from('ch_1'));
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(USUAL.leaseMs);
      const next = await other.run();
      shop.storage.rejectNext('release');
      const released = run.release({ forget: false });
      await world.advance(100);
      expect(await released).toBe('released');
      await next.release({ forget: true });
      gate.open();
      await world.clock.settle();
      expect(await other.run()).toMatchObject({ attempt: 2, previous: 'released', steps: { size: 1 } });
    });

    it('changes nothing when it arrives during the run, also one whose lease nobody could confirm', async () => {
      const { gate, run } = await runWithQuestionUnderWay();
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(USUAL.leaseMs);
      expect(run.signal.aborted).toBe(true);
      gate.open();
      await world.clock.settle();
      expect(shop.calls('release')).toBe(0);
      expect(await other.begin()).toMatchObject({ kind: 'in_progress' });
      expect(await run.complete(result('done'), MINUTE)).toBe('recorded');
    });

    it('changes nothing when it arrives after the outcome was recorded', async () => {
      const { gate, run } = await runWithQuestionUnderWay();
      await run.complete(result('done'), MINUTE);
      gate.open();
      await world.clock.settle();
      expect(textOf(await other.begin())).toBe('done');
    });

    it('blocks nobody when it claimed after all and that answer was lost', async () => {
      const theirs = await other.run();
      const first = shop.storage.holdAnswer('claim');
      const begun = shop.begin();
      await world.clock.settle();
      await theirs.release({ forget: false });
      shop.storage.loseAnswer('claim');
      await world.advance(SECOND / 2);
      expect(await stored()).toMatchObject({ attempt: 2, released: false });
      first.open();
      expect(await begun).toMatchObject({ kind: 'in_progress' });
      await world.clock.settle();
      expect(await stored()).toMatchObject({ attempt: 1, released: true });
    });

    it('leaves a run that was superseded in the books, should its record come back to it', async () => {
      const { gate, run } = await runWithQuestionUnderWay();
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(USUAL.leaseMs);
      const next = await other.run();
      expect(await run.complete(result('done'), MINUTE)).toBe('superseded');
      await next.release({ forget: true });
      gate.open();
      await world.advance(USUAL.leaseMs);
      expect(await other.begin({ takeOver: false })).toEqual({ kind: 'abandoned' });
    });

    it('blocks nobody when it arrives after the other run that it lost to was released', async () => {
      const theirs = await other.run();
      const gate = shop.storage.holdCall('claim');
      const begun = shop.begin();
      await world.advance(SECOND / 2);
      expect(await begun).toMatchObject({ kind: 'in_progress' });
      await theirs.release({ forget: false });
      gate.open();
      await world.clock.settle();
      expect(await stored()).toMatchObject({ attempt: 1, released: true });
    });
  });

  describe('because what is stored is not a record', () => {
    it('is never asked for again and never run', async () => {
      const unreadable = new RecordUnreadableError('its bytes are odd');
      shop.storage.rejectNext('claim', 1, unreadable);
      expect(await shop.begin()).toEqual({ kind: 'unreadable', error: unreadable });
      await world.advance(MINUTE);
      expect([shop.calls('claim'), shop.calls('release')]).toEqual([1, 0]);
      expect(shop.heard()).toEqual(['record-unreadable']);
    });

    it('is never run when that is the second answer', async () => {
      const unreadable = new RecordUnreadableError('its bytes are odd');
      shop.storage.rejectNext('claim');
      shop.storage.rejectNext('claim', 1, unreadable);
      const begun = shop.begin();
      await world.advance(MINUTE);
      expect(await begun).toEqual({ kind: 'unreadable', error: unreadable });
      expect(shop.calls('claim')).toBe(2);
    });
  });
});
