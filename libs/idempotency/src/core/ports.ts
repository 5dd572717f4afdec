/**
 * What `core` needs of the world. It is injected, so that time and chance can be simulated; a lint rule keeps
 * `Date.now`, `setTimeout` and `randomUUID` out of this folder.
 */
export interface Clock {
  /** Never goes back and counts on while the wall clock is set; only differences mean anything. */
  monotonicMs(): number;
  /** Milliseconds since 1970, for what people and HTTP headers see. */
  wallMs(): number;
}

export interface Timers {
  /** Calls `fn` once after `ms` (0 to 2^31-1). The timer must not keep the process alive. */
  set(ms: number, fn: () => void): TimerHandle;
  clear(handle: TimerHandle): void;
}

/** Opaque: whatever `Timers.set` gave. */
export type TimerHandle = unknown;

export interface Randomness {
  /** A new UUID that nobody can guess. */
  uuid(): string;
  /** At least 0, below 1: for jitter. */
  fraction(): number;
}
