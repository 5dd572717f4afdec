import type { TimerHandle, Timers } from '../core/ports.js';

/** Timers that an application need not wait for when it stops: what they would do later is done then. */
export class GraceTimers implements Timers {
  private readonly pending = new Map<TimerHandle, () => void>();

  constructor(private readonly timers: Timers) {}

  set(ms: number, fn: () => void): TimerHandle {
    const handle = this.timers.set(ms, () => {
      this.pending.delete(handle);
      fn();
    });
    this.pending.set(handle, fn);
    return handle;
  }

  clear(handle: TimerHandle): void {
    this.pending.delete(handle);
    this.timers.clear(handle);
  }

  /** Does now what is pending. */
  flush(): void {
    for (const [handle, fn] of [...this.pending]) {
      this.clear(handle);
      fn();
    }
  }
}
