import { describe, expect, it } from '@jest/globals';
import { FakeClock } from './fake-clock.js';
import { seededRandomness } from './seeded-randomness.js';

describe('FakeClock', () => {
  it('moves both clocks only when it is told to', async () => {
    const clock = new FakeClock(1000);
    const start = clock.monotonicMs();
    await clock.advance(250);
    expect(clock.monotonicMs() - start).toBe(250);
    expect(clock.wallMs()).toBe(1250);
  });

  it('lets the wall clock jump without moving the monotonic one', async () => {
    const clock = new FakeClock(1000);
    const start = clock.monotonicMs();
    clock.setWall(0);
    await clock.advance(5);
    expect([clock.monotonicMs() - start, clock.wallMs()]).toEqual([5, 5]);
  });

  it('fires timers in order, each at its own time, also those set meanwhile', async () => {
    const clock = new FakeClock();
    const start = clock.monotonicMs();
    const fired: string[] = [];
    const note = (name: string) => fired.push(`${name} at ${clock.monotonicMs() - start}`);
    clock.timers.set(30, () => note('c'));
    clock.timers.set(10, () => {
      note('a');
      clock.timers.set(10, () => note('b'));
      clock.timers.set(1000, () => note('never'));
    });
    clock.timers.set(30, () => note('d'));
    await clock.advance(100);
    expect(fired).toEqual(['a at 10', 'b at 20', 'c at 30', 'd at 30']);
    expect(clock.pendingTimers).toBe(1);
  });

  it('lets promises go on between two timers', async () => {
    const clock = new FakeClock();
    const sleep = (ms: number) => new Promise<void>((resolve) => clock.timers.set(ms, resolve));
    let turns = 0;
    const loop = async () => {
      for (; turns < 10; turns += 1) await sleep(100);
    };
    const done = loop();
    await clock.advance(450);
    expect(turns).toBe(4);
    await clock.advance(550);
    await done;
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not fire a timer that was cleared, also by an earlier one', async () => {
    const clock = new FakeClock();
    let fired = false;
    const handle = clock.timers.set(20, () => (fired = true));
    clock.timers.set(10, () => clock.timers.clear(handle));
    await clock.advance(50);
    expect(fired).toBe(false);
  });

  it.each([2 ** 31, -1, Number.NaN])('refuses a timer of %p ms, which Node would fire at once', (ms) => {
    expect(() => new FakeClock().timers.set(ms, () => undefined)).toThrow(RangeError);
  });

  it('fails instead of hanging when a timer sets itself anew without end', async () => {
    const clock = new FakeClock();
    const again = () => void clock.timers.set(0, again);
    again();
    await expect(clock.advance(1)).rejects.toThrow(/sets itself anew/);
  });
});

describe('seededRandomness', () => {
  it('repeats itself for the same seed and differs for another', () => {
    const draw = (seed: number) => {
      const { fraction, uuid } = seededRandomness(seed);
      return [fraction(), fraction(), uuid(), uuid()];
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('gives distinct UUIDs of version 4 and fractions below 1', () => {
    const { fraction, uuid } = seededRandomness(3);
    const uuids = Array.from({ length: 2000 }, uuid);
    expect(new Set(uuids).size).toBe(2000);
    for (const one of uuids)
      expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const fractions = Array.from({ length: 10_000 }, fraction);
    expect(Math.min(...fractions)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...fractions)).toBeLessThan(1);
    const mean = fractions.reduce((sum, one) => sum + one, 0) / fractions.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
  });
});
