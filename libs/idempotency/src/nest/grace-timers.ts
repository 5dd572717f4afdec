import type { TimerHandle, Timers } from '../core/ports.js';

/** Timers that an application need not wait for when it stops: what they would do later is done then. */
export class GraceTimers implements Timers {
  private readonly pending = new Map<TimerHandle, () => void>();
  private stopping = false;

  constructor(private readonly timers: Timers) {}

  set(ms: number, fn: () => void): TimerHandle {
    const handle = this.timers.set(this.stopping ? 0 : ms, () => {
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

  /** Does now what is pending, and at once what is set from now on. */
  flush(): void {
    this.stopping = true;
    for (const [handle, fn] of [...this.pending]) {
      this.clear(handle);
      fn();
    }
  }
}
