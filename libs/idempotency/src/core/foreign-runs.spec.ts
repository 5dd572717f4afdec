import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../testing/fake-clock.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { ForeignRuns } from './foreign-runs.js';
import { TimerScope } from './timer-scope.js';

describe('ForeignRuns', () => {
  let clock: FakeClock;
  let timers: TimerScope;
  let runs: ForeignRuns<string>;
  let looks: { by: string; at: number }[];
  let found: string;

  beforeEach(() => {
    clock = new FakeClock();
    timers = new TimerScope(clock.timers);
    runs = new ForeignRuns(clock, timers, seededRandomness(1));
    looks = [];
    found = 'running';
  });

  const waitFor = (by: string, ms: number, id = 'a') => {
    const start = clock.monotonicMs();
    const answer = { by, told: undefined as string | undefined, after: 0 };
    const look = async () => {
      looks.push({ by, at: clock.monotonicMs() - start });
      return found;
    };
    void runs
      .wait(id, start + ms, look, (what) => `${what}, told by ${by}`)
      .then((told) => Object.assign(answer, { told, after: clock.monotonicMs() - start }));
    return answer;
  };

  it('looks at once less often the longer it takes, and a last time when the time is up', async () => {
    const waiter = waitFor('only', 2000);
    await clock.advance(2000);
    expect(waiter).toMatchObject({ told: 'timeout', after: 2000 });
    expect(looks.length).toBeGreaterThan(10);
    expect(looks.length).toBeLessThan(16);
    expect(looks[0]?.at).toBeLessThanOrEqual(10);
    expect(looks.at(-1)?.at).toBe(2000);
    expect(clock.pendingTimers).toBe(0);
  });

  it('gives what was found to the one who looked, and to the others what they may use of it', async () => {
    const waiters = [waitFor('first', 5000), waitFor('second', 5000), waitFor('third', 5000)];
    await clock.advance(1000);
    expect(new Set(looks.map(({ by }) => by))).toEqual(new Set(['first']));
    found = 'done';
    await clock.advance(250);
    expect(waiters.map(({ told }) => told)).toEqual(['done', 'done, told by first', 'done, told by first']);
  });

  it('is handed on by a poller whose time is up, past those whose time is up in the same instant', async () => {
    const leaving = ['first', 'second', 'third'].map((by) => waitFor(by, 500));
    const staying = waitFor('fourth', 5000);
    await clock.advance(500);
    expect(leaving.map(({ told }) => told)).toEqual(['timeout', 'timeout', 'timeout']);
    looks = [];
    await clock.advance(1000);
    expect(looks.length).toBeGreaterThan(2);
    expect(new Set(looks.map(({ by }) => by))).toEqual(new Set(['fourth']));
    found = 'done';
    await clock.advance(250);
    expect(staying.told).toBe('done');
  });

  it('tells nobody what another record came to', async () => {
    const [a, b] = [waitFor('a', 5000, 'a'), waitFor('b', 1000, 'b')];
    await clock.advance(999);
    found = 'done';
    expect([a.told, b.told]).toEqual([undefined, undefined]);
    await clock.advance(1);
    expect([a.told, b.told]).toEqual([undefined, 'done']);
    await clock.advance(250);
    expect(a.told).toBe('done');
  });

  it('begins anew at a quick pace once everybody has gone', async () => {
    waitFor('first', 1000);
    await clock.advance(1000);
    looks = [];
    waitFor('second', 1000);
    await clock.advance(100);
    expect(looks.length).toBeGreaterThanOrEqual(3);
  });

  it('ends for everybody when the timers are closed', async () => {
    const waiters = [waitFor('first', 5000), waitFor('second', 5000)];
    await clock.advance(1000);
    looks = [];
    timers.close();
    await clock.settle();
    expect(waiters.map(({ told }) => told)).toEqual(['timeout', 'timeout']);
    expect([looks.length, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('looks as soon as a storage says that the record has changed, and in its own time when it cannot say', async () => {
    const changes: (() => void)[] = [];
    let asked = 0;
    runs = new ForeignRuns(clock, timers, seededRandomness(1), () => {
      asked += 1;
      return asked > 6
        ? Promise.reject(new Error('the subscription broke'))
        : new Promise((resolve) => changes.push(resolve));
    });
    const waiter = waitFor('only', 5000);
    await clock.advance(300);
    const before = looks.length;
    found = 'done';
    changes.at(-1)?.();
    await clock.advance(0);
    expect([looks.length, waiter.told]).toEqual([before + 1, 'done']);

    found = 'running';
    asked = 7;
    looks = [];
    const other = waitFor('other', 1000, 'b');
    await clock.advance(1000);
    expect(other.told).toBe('timeout');
    expect(looks.length).toBeLessThan(12);
  });
});
