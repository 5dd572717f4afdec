import type { TimerHandle, Timers } from './ports.js';

/** What the timers of Node can count (24.8 days); past it they fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

interface ScopedTimer {
  readonly fn: () => void;
  handle: TimerHandle;
}

/** Timers of any length that end together with their owner. */
export class TimerScope implements Timers {
  private readonly open = new Set<ScopedTimer>();
  private ended = false;

  constructor(private readonly timers: Timers) {}

  /** Whoever repeats something looks here before the next time. */
  get closed(): boolean {
    return this.ended;
  }

  set(ms: number, fn: () => void): TimerHandle {
    const timer: ScopedTimer = { fn, handle: undefined };
    this.open.add(timer);
    this.arm(timer, ms);
    return timer;
  }

  clear(handle: TimerHandle): void {
    const timer = handle as ScopedTimer;
    this.open.delete(timer);
    this.timers.clear(timer.handle);
  }

  /** Fires everything at once, so that nobody waits in vain. Timers that are set later count as usual. */
  close(): void {
    this.ended = true;
    for (const timer of [...this.open]) {
      this.timers.clear(timer.handle);
      this.fire(timer);
    }
  }

  private arm(timer: ScopedTimer, ms: number): void {
    const left = ms - LONGEST_TIMER_MS;
    timer.handle =
      left > 0
        ? this.timers.set(LONGEST_TIMER_MS, () => this.arm(timer, left))
        : this.timers.set(ms, () => this.fire(timer));
  }

  private fire(timer: ScopedTimer): void {
    if (this.open.delete(timer)) timer.fn();
  }
}
