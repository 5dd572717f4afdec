import type { TimerHandle, Timers } from '../core/ports.js';

/** Finds out that nothing comes any more: calls `fn` after `ms` without a sign. */
export class Silence {
  private timer: TimerHandle;
  private listening = false;
  private heard = false;

  constructor(
    private readonly timers: Timers,
    private readonly ms: number,
    private readonly fn: () => void,
  ) {}

  /** A sign of life. */
  broken(): void {
    this.heard = true;
  }

  /** From now on. Who listens already goes on, or a second listener would take the first one's signs away. */
  listen(): void {
    if (this.listening) return;
    this.listening = true;
    this.heard = false;
    this.timer = this.timers.set(this.ms, () => {
      this.listening = false;
      if (this.heard) this.listen();
      else this.fn();
    });
  }

  stop(): void {
    if (this.listening) this.timers.clear(this.timer);
    this.listening = false;
  }
}
