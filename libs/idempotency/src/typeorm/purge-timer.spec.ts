import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { PurgeTimer } from './purge-timer.js';

const DAY_MS = 86_400_000;

describe('PurgeTimer', () => {
  beforeEach(() => {
    jest.useFakeTimers();
    jest.spyOn(Math, 'random').mockReturnValue(0.75);
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  const open = (everyMs: number) => {
    const purge = jest.fn(async (_limit: number) => 0);
    return { purge, timer: new PurgeTimer({ everyMs, purge, warn: () => undefined }) };
  };

  it('waits longer than a timer can count', async () => {
    const { purge, timer } = open(60 * DAY_MS);
    timer.start();
    await jest.advanceTimersByTimeAsync(44 * DAY_MS);
    expect(purge).not.toHaveBeenCalled();
    await jest.advanceTimersByTimeAsync(DAY_MS);
    expect(purge).toHaveBeenCalledTimes(1);
    await jest.advanceTimersByTimeAsync(59 * DAY_MS);
    expect(purge).toHaveBeenCalledTimes(1);
    await jest.advanceTimersByTimeAsync(DAY_MS);
    expect(purge).toHaveBeenCalledTimes(2);
    await timer.stop();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('starts no second round while one runs', async () => {
    const { purge, timer } = open(1000);
    let finish = (_count: number): void => undefined;
    purge.mockImplementation(() => new Promise((resolve) => (finish = resolve)));
    timer.start();
    await jest.advanceTimersByTimeAsync(10_000);
    expect(purge).toHaveBeenCalledTimes(1);
    finish(0);
    await jest.advanceTimersByTimeAsync(1000);
    expect(purge).toHaveBeenCalledTimes(2);
    finish(0);
    await timer.stop();
  });

  it('stops between two batches', async () => {
    const { purge, timer } = open(1000);
    purge.mockImplementation(async (limit) => limit);
    timer.start();
    await jest.advanceTimersByTimeAsync(750);
    await timer.stop();
    const calls = purge.mock.calls.length;
    await jest.advanceTimersByTimeAsync(10_000);
    expect(purge).toHaveBeenCalledTimes(calls);
  });
});
