import type { TimerHandle, Timers } from './ports.js';

/** How a call ended, for callers that must choose. */
export type Answer<T> =
  | { readonly kind: 'answered'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'timeout' };

/** Waits for a call for at most `ms`. The call itself goes on; whoever needs its late answer keeps the promise. */
export function within<T>(timers: Timers, ms: number, call: Promise<T>): Promise<Answer<T>> {
  return new Promise((resolve) => {
    const timer = timers.set(Math.max(0, ms), () => resolve({ kind: 'timeout' }));
    call.then(
      (value) => {
        timers.clear(timer);
        resolve({ kind: 'answered', value });
      },
      (error: unknown) => {
        timers.clear(timer);
        resolve({ kind: 'failed', error });
      },
    );
  });
}

/** Calls a function that may throw before it returns its promise. */
export async function promised<T>(fn: () => Promise<T>): Promise<T> {
  return fn();
}

export function sleep(timers: Timers, ms: number): Promise<void> {
  return new Promise((resolve) => timers.set(Math.max(0, ms), resolve));
}

/** A promise that somebody else settles. */
export class Deferred<T> {
  resolve!: (value: T) => void;
  readonly promise = new Promise<T>((resolve) => {
    this.resolve = resolve;
  });
}

/** Timers that can all be cleared at once, when their owner stops. Who still waits for one then waits in vain. */
export class TimerScope implements Timers {
  private readonly open = new Set<TimerHandle>();

  constructor(private readonly timers: Timers) {}

  set(ms: number, fn: () => void): TimerHandle {
    const handle = this.timers.set(ms, () => {
      this.open.delete(handle);
      fn();
    });
    this.open.add(handle);
    return handle;
  }

  clear(handle: TimerHandle): void {
    this.open.delete(handle);
    this.timers.clear(handle);
  }

  clearAll(): void {
    for (const handle of this.open) this.clear(handle);
  }
}
