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
} from '../../../../test/support/engine-world.js';

describe('IdempotencyEngine', () => {
  let world: EngineWorld;

  beforeEach(() => void (world = new EngineWorld()));
  afterEach(async () => expect(await world.end()).toBe(0));

  describe('one request', () => {
    it('may run when nobody has run before', async () => {
      const shop = world.process();
      const run = await shop.run();
      expect(pick(run)).toEqual({ attempt: 1, previous: 'none', steps: {} });
      expect(run.signal.aborted).toBe(false);
      expect(shop.engine.running).toBe(1);
      expect(shop.heard()).toEqual(['claimed']);
    });

    it('replays the recorded outcome until its time to live is over', async () => {
      const shop = world.process();
      const run = await shop.run({ ttlMs: MINUTE });
      expect(await run.complete(result('done'), MINUTE)).toBe('recorded');
      expect([run.leaseConfirmed(), shop.engine.running]).toEqual([false, 0]);
      await world.advance(MINUTE - 1);
      expect(await shop.begin()).toEqual({ kind: 'replay', result: result('done'), expiresInMs: 1 });
      await world.advance(1);
      expect(await shop.begin()).toMatchObject({ kind: 'run', run: { attempt: 1 } });
      expect(shop.heard()).toEqual(['claimed', 'completed', 'replayed', 'claimed']);
    });

    it('runs again after a release, as the next attempt, with the steps that were saved', async () => {
      const [here, there] = [world.process(), world.process()];
      const first = await here.run();
      expect(await first.saveStep('charge', Buffer.from('ch_1'))).toBe('applied');
      expect(await first.release({ forget: false })).toBe('released');
      const second = await there.run();
      expect(pick(second)).toEqual({ attempt: 2, previous: 'released', steps: { charge: 'ch_1' } });
      expect(here.heard()).toEqual(['claimed', 'released']);
      expect(there.heard()).toEqual(['claimed']);
    });

    it('leaves nothing behind when it did not begin', async () => {
      const shop = world.process();
      await (await shop.run()).release({ forget: true });
      expect(await world.memory.get(USUAL.id)).toBeUndefined();
      expect(pick(await shop.run({ fingerprint: 'the corrected request' }))).toMatchObject({ attempt: 1 });
    });

    it('says what is stored when it is not a record, and neither runs nor asks again', async () => {
      const shop = world.process();
      const run = await shop.run();
      await world.memory.complete(run.claim, Buffer.from('not ours'), MINUTE);
      await run.complete(result('done'), MINUTE);
      shop.storage.clearCalls();
      expect(await shop.begin()).toMatchObject({ kind: 'unreadable', error: { code: 'record-unreadable' } });
      expect(shop.calls()).toBe(1);
      expect(shop.heard().at(-1)).toBe('record-unreadable');
    });

    it('keeps the outcome as it was handed in, whatever happens to its bytes afterwards', async () => {
      const shop = world.process();
      const run = await shop.run();
      const waiter = shop.begin({ inFlight: 'wait' });
      await world.clock.settle();
      const outcome = result('done');
      const completed = run.complete(outcome, MINUTE);
      outcome.body.fill(0);
      await completed;
      expect(textOf(await waiter)).toBe('done');
      expect(textOf(await shop.begin())).toBe('done');
    });

    it('ends what observers break', async () => {
      const shop = world.process();
      shop.events.push = () => {
        throw new Error('a broken observer');
      };
      const run = await shop.run();
      expect(await run.complete(result('done'), MINUTE)).toBe('recorded');
      expect(shop.engine.running).toBe(0);
      expect(textOf(await shop.begin())).toBe('done');
    });
  });

  describe('the same key with another request', () => {
    it('is refused while the first one runs, here and in another process, also when it would wait', async () => {
      const [here, there] = [world.process(), world.process()];
      await here.run();
      for (const process of [here, there]) {
        for (const inFlight of ['reject', 'wait'] as const) {
          expect(await process.begin({ fingerprint: 'another', inFlight })).toEqual({ kind: 'reused' });
        }
        expect(process.heard().filter((type) => type !== 'claimed')).toEqual(['key-reused', 'key-reused']);
      }
    });

    it('is refused after the first one has completed, was released or crashed', async () => {
      const [here, there] = [world.process(), world.process()];
      for (const id of ['completed', 'released', 'crashed']) {
        const run = await here.run({ id });
        if (id === 'completed') await run.complete(result('done'), MINUTE);
        if (id === 'released') await run.release({ forget: false });
      }
      here.loop.die();
      await world.advance(MINUTE / 2);
      for (const id of ['completed', 'released', 'crashed']) {
        expect(await there.begin({ id, fingerprint: 'another' })).toEqual({ kind: 'reused' });
      }
    });

    it('is refused although it comes while the first one is still being claimed', async () => {
      const shop = world.process();
      const gate = shop.storage.holdCall('claim');
      const first = shop.begin();
      const other = shop.begin({ fingerprint: 'another' });
      gate.open();
      expect((await first).kind).toBe('run');
      expect(await other).toEqual({ kind: 'reused' });
      expect(shop.calls('claim')).toBe(1);
    });
  });

  describe('the same request at the same time', () => {
    it('runs once when it comes 50 times to one process', async () => {
      const shop = world.process();
      const outcomes = await Promise.all(Array.from({ length: 50 }, () => shop.begin()));
      expect(kindsOf(outcomes)).toEqual({ run: 1, in_progress: 49 });
      expect(shop.calls('claim')).toBe(1);
    });

    it('runs once when it comes 50 times to each of two processes', async () => {
      const processes = [world.process(), world.process()];
      const outcomes = await Promise.all(
        processes.flatMap((process) => Array.from({ length: 50 }, () => process.begin())),
      );
      expect(kindsOf(outcomes)).toEqual({ run: 1, in_progress: 99 });
      expect(processes.map((process) => process.calls('claim'))).toEqual([1, 1]);
    });

    it('runs once and answers everybody who waits with the recorded outcome', async () => {
      const processes = [world.process(), world.process()];
      const begun = processes.flatMap((process) =>
        Array.from({ length: 50 }, () => process.begin({ inFlight: 'wait' })),
      );
      const run = runOf(await Promise.race(begun));
      await world.advance(SECOND);
      await run.complete(result('done'), MINUTE);
      await world.advance(SECOND);
      const outcomes = await Promise.all(begun);
      expect(kindsOf(outcomes)).toEqual({ run: 1, replay: 99 });
      expect(new Set(outcomes.filter(({ kind }) => kind === 'replay').map(textOf))).toEqual(
        new Set(['done']),
      );
    });

    it('is answered without asking the storage while the lease is confirmed', async () => {
      const shop = world.process();
      await shop.run();
      shop.storage.clearCalls();
      await world.advance(9 * SECOND);
      expect(await shop.begin()).toEqual({ kind: 'in_progress', retryAfterMs: 9 * SECOND });
      expect(shop.calls()).toBe(0);
      expect(shop.heard()).toEqual(['claimed', 'in-progress']);
    });

    it('is never told to come back later than a lease', async () => {
      const shop = world.process();
      await shop.run();
      await world.advance(9 * MINUTE);
      expect(await shop.begin()).toEqual({ kind: 'in_progress', retryAfterMs: USUAL.leaseMs });
    });

    it('is answered by the storage when the lease is not confirmed, and does not run beside the first one', async () => {
      const shop = world.process();
      const run = await shop.run();
      shop.storage.rejectNext('renew', Infinity);
      await world.advance(USUAL.leaseMs);
      shop.storage.clearCalls();
      expect(await shop.begin()).toMatchObject({ kind: 'in_progress' });
      expect(await shop.begin({ takeOver: false })).toMatchObject({ kind: 'in_progress' });
      expect(shop.calls('claim')).toBe(2);
      shop.storage.heal();
      await run.complete(result('done'), MINUTE);
      expect(textOf(await shop.begin())).toBe('done');
    });
  });

  describe('after a crash', () => {
    const crashed = async () => {
      const [crashing, shop] = [world.process(), world.process()];
      const run = await crashing.run();
      await run.saveStep('charge', Buffer.from('ch_1'));
      crashing.loop.die();
      return { run, shop };
    };

    it('tells when to come back, and takes over when the lease is over', async () => {
      const { shop } = await crashed();
      expect(await shop.begin()).toEqual({ kind: 'in_progress', retryAfterMs: 0 });
      await world.advance(20 * SECOND);
      expect(await shop.begin()).toEqual({ kind: 'in_progress', retryAfterMs: 10 * SECOND });
      await world.advance(10 * SECOND);
      expect(pick(await shop.run())).toEqual({ attempt: 2, previous: 'expired', steps: { charge: 'ch_1' } });
      expect(shop.heard()).toEqual(['in-progress', 'in-progress', 'taken-over']);
    });

    it('is reported as abandoned to who must not take over, again and again', async () => {
      const { shop } = await crashed();
      await world.advance(USUAL.leaseMs);
      for (const inFlight of ['reject', 'wait', 'reject'] as const) {
        expect(await shop.begin({ takeOver: false, inFlight })).toEqual({ kind: 'abandoned' });
      }
      expect(shop.heard()).toEqual(['abandoned', 'abandoned', 'abandoned']);
      expect(pick(await shop.run())).toMatchObject({ attempt: 2, previous: 'expired' });
    });

    it('leaves attempt, steps and the crash as they were when the takeover did not begin', async () => {
      const { shop } = await crashed();
      await world.advance(USUAL.leaseMs);
      const second = await shop.run();
      await second.saveStep('refund', Buffer.from('re_1'));
      await second.release({ forget: true });
      expect(await shop.begin({ takeOver: false })).toEqual({ kind: 'abandoned' });
      expect(pick(await shop.run())).toEqual({ attempt: 2, previous: 'expired', steps: { charge: 'ch_1' } });
    });

    it('lets nobody who comes late change what the next run recorded', async () => {
      const late = world.process();
      const run = await late.run();
      late.loop.block();
      await world.advance(USUAL.leaseMs);
      const shop = world.process();
      await (await shop.run()).complete(result('the second'), MINUTE);
      late.loop.unblock();
      expect(await run.complete(result('the first'), MINUTE)).toBe('superseded');
      expect(textOf(await late.begin())).toBe('the second');
      expect(late.heard()).toEqual(['claimed', 'lease-lost', 'superseded', 'replayed']);
    });
  });
});

function pick({ attempt, previous, steps }: ReturnType<typeof runOf>) {
  const texts = [...steps].map(([name, value]) => [name, Buffer.from(value).toString()]);
  return { attempt, previous, steps: Object.fromEntries(texts) };
}
