import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../testing/fake-clock.js';
import { TimerScope } from './timer-scope.js';

const DAY = 86_400_000;

describe('TimerScope', () => {
  it.each([0, 1, 2 ** 31 - 1, 2 ** 31, 30 * DAY, 400 * DAY])(
    'fires once after %p ms, to the millisecond',
    async (ms) => {
      const clock = new FakeClock();
      const timers = new TimerScope(clock.timers);
      let fired = 0;
      timers.set(ms, () => (fired += 1));
      if (ms > 0) await clock.advance(ms - 1);
      expect(fired).toBe(0);
      await clock.advance(1);
      await clock.advance(400 * DAY);
      expect(fired).toBe(1);
      expect(clock.pendingTimers).toBe(0);
    },
  );

  it('does not fire what was cleared, however much of it is over', async () => {
    const clock = new FakeClock();
    const timers = new TimerScope(clock.timers);
    let fired = 0;
    const handle = timers.set(100 * DAY, () => (fired += 1));
    await clock.advance(60 * DAY);
    timers.clear(handle);
    timers.clear(handle);
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(100 * DAY);
    expect(fired).toBe(0);
  });

  it('fires everything when it is closed, and only once', async () => {
    const clock = new FakeClock();
    const timers = new TimerScope(clock.timers);
    const fired: string[] = [];
    timers.set(10, () => fired.push('soon'));
    timers.set(100 * DAY, () => {
      fired.push('late');
      timers.set(5, () => fired.push('set meanwhile'));
    });
    expect(timers.closed).toBe(false);
    timers.close();
    expect(timers.closed).toBe(true);
    expect(fired).toEqual(['soon', 'late']);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(200 * DAY);
    expect(fired).toEqual(['soon', 'late', 'set meanwhile']);
  });

  it('does not fire what another timer clears while it closes', () => {
    const timers = new TimerScope(new FakeClock().timers);
    let fired = 0;
    const second = { handle: undefined as unknown };
    timers.set(1, () => timers.clear(second.handle));
    second.handle = timers.set(2, () => (fired += 1));
    timers.close();
    expect(fired).toBe(0);
  });
});
