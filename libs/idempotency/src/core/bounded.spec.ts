import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../testing/fake-clock.js';
import { Backoff, Deferred, promised, sleep, within } from './bounded.js';

describe('within', () => {
  it('gives the answer and leaves no timer', async () => {
    const clock = new FakeClock();
    expect(await within(clock.timers, 1000, Promise.resolve('yes'))).toEqual({
      kind: 'answered',
      value: 'yes',
    });
    expect(clock.pendingTimers).toBe(0);
  });

  it('gives the failure and leaves no timer', async () => {
    const clock = new FakeClock();
    const error = new Error('down');
    expect(await within(clock.timers, 1000, Promise.reject(error))).toEqual({ kind: 'failed', error });
    expect(clock.pendingTimers).toBe(0);
  });

  it('is over when the time is, to the millisecond, and takes no notice of what comes later', async () => {
    const clock = new FakeClock();
    const late = new Deferred<string>();
    let answer: unknown = 'pending';
    void within(clock.timers, 1000, late.promise).then((one) => (answer = one));
    await clock.advance(999);
    expect(answer).toBe('pending');
    await clock.advance(1);
    expect(answer).toEqual({ kind: 'timeout' });
    late.resolve('late');
    await clock.settle();
    expect(answer).toEqual({ kind: 'timeout' });
  });

  it('gives an answer that is there already even when there is no time left', async () => {
    const clock = new FakeClock();
    const answer = within(clock.timers, -5, Promise.resolve('yes'));
    await clock.advance(0);
    expect(await answer).toEqual({ kind: 'answered', value: 'yes' });
  });
});

describe('promised', () => {
  it('turns what is thrown before a promise is returned into a rejection', async () => {
    const broken = (): Promise<never> => {
      throw new Error('broken');
    };
    await expect(promised(broken)).rejects.toThrow('broken');
  });
});

describe('sleep', () => {
  it('ends after its time', async () => {
    const clock = new FakeClock();
    let awake = 0;
    for (const ms of [100, -1]) void sleep(clock.timers, ms).then(() => (awake += 1));
    await clock.advance(0);
    expect(awake).toBe(1);
    await clock.advance(100);
    expect(awake).toBe(2);
  });
});

describe('Backoff', () => {
  it('doubles its pauses up to 2 s, each shortened by at most half, and can begin anew', async () => {
    const clock = new FakeClock();
    for (const fraction of [0, 0.999]) {
      const backoff = new Backoff(clock.timers, { uuid: () => '', fraction: () => fraction }, 300);
      const paused = async () => {
        const start = clock.monotonicMs();
        let end = Infinity;
        const pause = backoff.pause().then(() => (end = clock.monotonicMs()));
        await clock.advance(5000);
        await pause;
        return Math.round(end - start);
      };
      const pauses = [await paused(), await paused(), await paused(), await paused(), await paused()];
      const full = [300, 600, 1200, 2000, 2000];
      expect(pauses).toEqual(full.map((ms) => Math.round(ms * (0.5 + fraction / 2))));
      backoff.reset();
      expect(await paused()).toBe(pauses[0]);
    }
  });
});
