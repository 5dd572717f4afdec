import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  DAY,
  EngineWorld,
  HOUR,
  kindsOf,
  MINUTE,
  result,
  SECOND,
  textOf,
  USUAL,
  type SimulatedProcess,
} from '../../../../test/support/engine-world.js';

describe('The lease of a run', () => {
  let world: EngineWorld;
  let shop: SimulatedProcess;
  let other: SimulatedProcess;

  beforeEach(() => {
    world = new EngineWorld();
    shop = world.process();
    other = world.process();
  });
  afterEach(async () => expect(await world.end()).toBe(0));

  it('is renewed with those of all other runs by one call per tick', async () => {
    for (let index = 0; index < 100; index += 1) {
      await shop.run({ id: `shop|POST /orders|${index}` });
      await world.advance(10);
    }
    await world.advance(MINUTE);
    const calls = shop.storage.calls('renew');
    expect(calls.length).toBeLessThanOrEqual(6);
    for (const { ids } of calls) expect(ids).toHaveLength(100);
    for (const { leaseRemainingMs } of await views()) expect(leaseRemainingMs).toBeGreaterThan(19 * SECOND);
  });

  it('is renewed by few calls also when runs begin all the time', async () => {
    for (let index = 0; index < 300; index += 1) {
      await shop.run({ id: `shop|POST /orders|${index}` });
      await world.advance(200);
    }
    expect(shop.calls('renew')).toBeLessThanOrEqual(13);
    for (const { leaseRemainingMs } of await views()) expect(leaseRemainingMs).toBeGreaterThan(19 * SECOND);
  });

  it('keeps the record as long as the handler runs, and not longer than `maxRun`', async () => {
    const run = await shop.run();
    await world.advance(USUAL.maxRunMs);
    expect(await other.begin()).toMatchObject({ kind: 'in_progress' });
    expect(run.signal.aborted).toBe(false);
    shop.storage.clearCalls();
    await world.advance(USUAL.leaseMs);
    expect(shop.calls('renew')).toBe(0);
    expect(run.signal.aborted).toBe(true);
    expect(String(run.signal.reason)).toMatch(/longer than `maxRun`/);
    expect(shop.heard()).toEqual(['claimed', 'lease-lost']);
    expect(await shop.run()).toMatchObject({ attempt: 2, previous: 'expired' });
    expect(await run.complete(result('the first'), DAY)).toBe('superseded');
  });

  it('is kept when renewing fails twice', async () => {
    const run = await shop.run();
    await world.advance(9 * SECOND);
    shop.storage.rejectNext('renew', 2);
    await world.advance(MINUTE);
    expect(run.signal.aborted).toBe(false);
    expect(await other.begin()).toMatchObject({ kind: 'in_progress' });
    expect(shop.heard()).toEqual(['claimed', 'storage-failed', 'storage-failed']);
  });

  it('counts as lost when it could not be confirmed for its length, to the millisecond, and only once', async () => {
    const run = await shop.run();
    shop.storage.rejectNext('renew', Infinity);
    await world.advance(USUAL.leaseMs - 1);
    expect(run.signal.aborted).toBe(false);
    shop.storage.clearCalls();
    expect(await shop.begin()).toMatchObject({ kind: 'in_progress' });
    expect(shop.calls('claim')).toBe(0);
    await world.advance(1);
    expect(run.signal.aborted).toBe(true);
    expect(await shop.begin()).toMatchObject({ kind: 'in_progress' });
    expect(shop.calls('claim')).toBe(1);
    await world.advance(MINUTE);
    expect(shop.heard().filter((type) => type === 'lease-lost')).toHaveLength(1);
  });

  it('is not lost when the answers to renewals come late, but do come', async () => {
    const run = await shop.run();
    const renew = shop.storage.renew.bind(shop.storage);
    shop.storage.renew = async (claims) => {
      const answer = await renew(claims);
      await new Promise<void>((resolve) => world.clock.timers.set(3 * SECOND, resolve));
      return answer;
    };
    await world.advance(5 * MINUTE);
    expect(run.signal.aborted).toBe(false);
    expect(await shop.begin()).toMatchObject({ kind: 'in_progress' });
    await run.complete(result('done'), DAY);
    await world.advance(3 * SECOND);
  });

  it('is taken over by another process only after it has ended there', async () => {
    const run = await shop.run();
    shop.storage.rejectNext('renew', Infinity);
    await world.advance(USUAL.leaseMs - 1);
    expect(await other.begin()).toMatchObject({ kind: 'in_progress' });
    expect(run.signal.aborted).toBe(false);
    await world.advance(1);
    expect(await other.begin()).toMatchObject({ kind: 'run' });
    expect(run.signal.aborted).toBe(true);
  });

  it('is not lost because a renewal meets the outcome that is being stored', async () => {
    const run = await shop.run();
    await world.advance(9.5 * SECOND);
    const gate = shop.storage.holdAnswer('complete');
    const completed = run.complete(result('done'), DAY);
    await world.advance(600);
    expect(shop.calls('renew')).toBe(1);
    gate.open();
    expect(await completed).toBe('recorded');
    expect(run.signal.aborted).toBe(false);
    expect(shop.heard()).toEqual(['claimed', 'completed']);
  });

  describe('after the event loop was blocked for longer than it', () => {
    it('is lost, and the outcome is recorded all the same when nobody took over', async () => {
      const run = await shop.run();
      shop.loop.block();
      await world.advance(2 * USUAL.leaseMs);
      const completed = run.complete(result('done'), DAY);
      shop.loop.unblock();
      expect(await completed).toBe('recorded');
      await world.advance(MINUTE);
      expect(textOf(await other.begin())).toBe('done');
    });

    it('goes on being renewed, and the process does not run the same request a second time', async () => {
      const run = await shop.run();
      shop.loop.block();
      await world.advance(2 * USUAL.leaseMs);
      const retries = [shop.begin(), shop.begin({ takeOver: false }), shop.begin({ inFlight: 'wait' })];
      shop.loop.unblock();
      await world.advance(SECOND);
      expect(run.signal.aborted).toBe(true);
      expect(await other.begin()).toMatchObject({ kind: 'in_progress' });
      await run.complete(result('done'), DAY);
      await world.advance(SECOND);
      expect(kindsOf(await Promise.all(retries))).toEqual({ in_progress: 2, replay: 1 });
    });

    it('may be taken over here as everywhere once the run has ended without an outcome', async () => {
      const run = await shop.run();
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(USUAL.leaseMs);
      await run.release({ forget: false });
      expect(await shop.run()).toMatchObject({ attempt: 2, previous: 'released' });
    });
  });

  it('may be longer than any timer can count, and so may waiting and the time to live', async () => {
    const long = { leaseMs: 60 * DAY, maxRunMs: 400 * DAY, ttlMs: 400 * DAY, waitTimeoutMs: 90 * DAY };
    const run = await shop.run(long);
    const waiters = [shop, other].map((process) => process.begin({ ...long, inFlight: 'wait' }));
    await world.advance(MINUTE);
    expect(await world.peek(Promise.race(waiters))).toBe('pending');
    await run.complete(result('done'), 400 * DAY);
    await world.advance(MINUTE);
    expect((await Promise.all(waiters)).map(textOf)).toEqual(['done', 'done']);
    const next = await shop.run({ ...long, id: 'another' });
    await world.advance(100 * DAY);
    expect(shop.calls('renew')).toBe(5);
    expect(next.signal.aborted).toBe(false);
    expect(await shop.begin()).toMatchObject({ kind: 'replay' });
  });

  it('takes no timer once nobody runs', async () => {
    const runs = await Promise.all(['a', 'b', 'c'].map((id) => shop.run({ id })));
    await world.advance(MINUTE);
    for (const run of runs) await run.complete(result('done'), DAY);
    expect(world.clock.pendingTimers).toBe(0);
  });

  const views = async () => {
    const found = [];
    for await (const view of world.memory.find({ idPrefix: '' })) found.push(view);
    return found;
  };
});

describe('Stopping', () => {
  let world: EngineWorld;
  let shop: SimulatedProcess;

  beforeEach(() => {
    world = new EngineWorld();
    shop = world.process();
  });

  it('waits for outcomes that are not stored yet, for as long as one storage call may take', async () => {
    const run = await shop.run();
    shop.storage.rejectNext('complete', Infinity);
    void run.complete(result('done'), DAY);
    await world.advance(MINUTE);
    const stopped = shop.engine.stop();
    shop.storage.heal();
    await world.advance(SECOND);
    await stopped;
    expect((await world.memory.get(USUAL.id))?.state).toBe('completed');
    expect(shop.heard().at(-1)).toBe('completed');
  });

  it('says which outcomes are dropped, answers who still waits, and leaves no timer', async () => {
    const [run] = await Promise.all([shop.run(), shop.run({ id: 'b' }), world.process().run({ id: 'c' })]);
    shop.storage.rejectNext('complete', Infinity);
    shop.storage.loseAnswer('claim', 2);
    shop.storage.rejectNext('release', Infinity);
    void run?.complete(result('done'), DAY);
    void shop.begin({ id: 'stray' });
    await world.advance(10 * SECOND);
    const waiters = ['b', 'c'].map((id) => shop.begin({ id, inFlight: 'wait', waitTimeoutMs: HOUR }));
    await world.advance(SECOND);
    const stopped = shop.engine.stop();
    await world.advance(SECOND);
    await stopped;
    await world.clock.settle();
    expect(shop.loop.pendingTimers).toBe(0);
    expect(kindsOf(await Promise.all(waiters))).toEqual({ in_progress: 2 });
    expect(shop.heard().filter((type) => type === 'outcome-dropped')).toHaveLength(1);
    shop.storage.clearCalls();
    await world.advance(HOUR);
    expect(shop.calls()).toBe(0);
  });

  it('is done at once when nothing runs', async () => {
    await (await shop.run()).complete(result('done'), DAY);
    await shop.engine.stop();
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('lets handlers that are still running record their outcomes, within `storageTimeout`', async () => {
    const [run, failing] = await Promise.all([shop.run(), shop.run({ id: 'b' })]);
    const stopped = shop.engine.stop();
    await world.advance(SECOND);
    await stopped;
    expect(await run?.complete(result('done'), DAY)).toBe('recorded');
    shop.storage.rejectNext('complete', Infinity);
    const dropped = failing?.complete(result('done'), DAY);
    await world.advance(SECOND);
    expect(await dropped).toBe('unrecorded');
    await world.advance(SECOND);
    expect(shop.heard().at(-1)).toBe('outcome-dropped');
    expect(shop.loop.pendingTimers).toBe(0);
  });

  it('begins nothing any more: nobody would renew its lease', async () => {
    await shop.engine.stop();
    expect(await shop.begin()).toMatchObject({ kind: 'unavailable', error: { code: 'storage-unavailable' } });
    expect(shop.calls()).toBe(0);
  });
});
