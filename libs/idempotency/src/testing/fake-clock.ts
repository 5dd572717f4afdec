import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, TimerHandle, Timers } from '../core/ports.js';

/** What Node's own timers can count; past it they fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A timer that always sets the next one at 0 ms would never let the time pass. */
const MAX_FIRED_PER_ADVANCE = 100_000;

interface PendingTimer {
  readonly dueAt: number;
  readonly fn: () => void;
}

/**
 * Time that stands still until a test moves it, with the timers that hang on it.
 *
 *     const clock = new FakeClock();
 *     const storage = new MemoryStorage({ clock });
 *     await clock.advance(30_000);
 */
export class FakeClock implements Clock {
  /** Timers that fire while the clock is advanced; in order, each at its own time. */
  readonly timers: Timers = {
    set: (ms, fn) => this.setTimer(ms, fn),
    clear: (handle) => void this.pending.delete(handle as PendingTimer),
  };
  private readonly pending = new Set<PendingTimer>();
  private monotonic = 1_000_000;
  private wall: number;

  /** @param wallMs what the wall clock shows at first; a day in 2026 unless told */
  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.wall = wallMs;
  }

  monotonicMs(): number {
    return this.monotonic;
  }

  wallMs(): number {
    return this.wall;
  }

  /** Sets the wall clock, also backwards, as an operator or NTP does. Timers and `monotonicMs` go on as before. */
  setWall(ms: number): void {
    this.wall = ms;
  }

  /** How many timers are waiting: 0 when everything was cleaned up. */
  get pendingTimers(): number {
    return this.pending.size;
  }

  /**
   * Lets `ms` pass without waiting. Timers that fall due fire at their time, also those set meanwhile, and after each
   * the promises that it set in motion go as far as they can.
   */
  async advance(ms: number): Promise<void> {
    const end = this.monotonic + ms;
    await this.settle();
    for (let fired = 0; ; fired += 1) {
      const next = this.nextDue(end);
      if (next === undefined) break;
      if (fired === MAX_FIRED_PER_ADVANCE)
        throw new Error(`${fired} timers fired within ${ms} ms: one sets itself anew without end.`);
      this.moveTo(next.dueAt);
      this.pending.delete(next);
      next.fn();
      await this.settle();
    }
    this.moveTo(end);
  }

  /** Lets promises go as far as they can while the time stands still. */
  async settle(): Promise<void> {
    await nextTurn();
  }

  private setTimer(ms: number, fn: () => void): TimerHandle {
    if (!(ms >= 0 && ms <= MAX_TIMER_MS))
      throw new RangeError(`A timer of ${ms} ms: Node's own would fire at once.`);
    const timer: PendingTimer = { dueAt: this.monotonic + ms, fn };
    this.pending.add(timer);
    return timer;
  }

  /** Of several due at the same time the one that was set first: a Set keeps that order. */
  private nextDue(end: number): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    for (const timer of this.pending) {
      if (timer.dueAt <= end && (next === undefined || timer.dueAt < next.dueAt)) next = timer;
    }
    return next;
  }

  /** Two advances may overlap: time never goes back. */
  private moveTo(monotonicMs: number): void {
    const passed = monotonicMs - this.monotonic;
    if (passed <= 0) return;
    this.monotonic = monotonicMs;
    this.wall += passed;
  }
}
