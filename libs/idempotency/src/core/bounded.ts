import type { Randomness, Timers } from './ports.js';

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

/** Pauses between tries in the background: half to the whole of each, doubled up to 2 s, so that nobody beats in time. */
export class Backoff {
  private pauseMs: number;

  constructor(
    private readonly timers: Timers,
    private readonly randomness: Randomness,
    private readonly firstMs: number,
  ) {
    this.pauseMs = firstMs;
  }

  pause(): Promise<void> {
    const ms = this.pauseMs * (0.5 + this.randomness.fraction() / 2);
    this.pauseMs = Math.min(this.pauseMs * 2, 2000);
    return sleep(this.timers, ms);
  }

  reset(): void {
    this.pauseMs = this.firstMs;
  }
}

/** A promise that somebody else settles. */
export class Deferred<T> {
  resolve!: (value: T) => void;
  readonly promise = new Promise<T>((resolve) => {
    this.resolve = resolve;
  });
}
