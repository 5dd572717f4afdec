import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import type { TimerHandle, Timers } from '../../libs/idempotency/src/core/ports.js';

interface LoopTimer {
  readonly fn: () => void;
  handle: TimerHandle;
}

/**
 * The event loop of one simulated process: its timers and its network answers. It can be blocked, as by a handler that
 * computes for long, and it can die with everything that is on its way to it.
 */
export class EventLoop {
  readonly timers: Timers = {
    set: (ms, fn) => this.set(ms, fn),
    clear: (handle) => this.clear(handle as LoopTimer),
  };
  private readonly open = new Set<LoopTimer>();
  private dueTimers: LoopTimer[] = [];
  private answers: (() => void)[] = [];
  private state: 'runs' | 'blocked' | 'dead' = 'runs';

  constructor(private readonly outside: Timers) {}

  get alive(): boolean {
    return this.state !== 'dead';
  }

  /** Timers that wait or are due. */
  get pendingTimers(): number {
    return this.open.size;
  }

  block(): void {
    if (this.alive) this.state = 'blocked';
  }

  /** Goes on as Node does: first the timers that came due, then the answers that came in. */
  unblock(): void {
    if (this.state !== 'blocked') return;
    this.state = 'runs';
    const { dueTimers, answers } = this;
    this.dueTimers = [];
    this.answers = [];
    for (const timer of dueTimers) this.fire(timer);
    for (const answer of answers) answer();
  }

  die(): void {
    this.state = 'dead';
    for (const timer of this.open) this.outside.clear(timer.handle);
    this.open.clear();
  }

  /** The answer to a call, as code in this process sees it: later when it is blocked, never when it is dead. */
  async arrival<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } finally {
      await this.turn();
    }
  }

  /** A storage as the process sees it. */
  through(storage: IdempotencyStorage): IdempotencyStorage {
    return {
      name: storage.name,
      shared: storage.shared,
      claim: (id, request) => this.arrival(storage.claim(id, request)),
      renew: (claims) => this.arrival(storage.renew(claims)),
      complete: (claim, bytes, ttlMs) => this.arrival(storage.complete(claim, bytes, ttlMs)),
      release: (claim, options) => this.arrival(storage.release(claim, options)),
      saveStep: (claim, name, value) => this.arrival(storage.saveStep(claim, name, value)),
      get: (id) => this.arrival(storage.get(id)),
      forget: (id) => this.arrival(storage.forget(id)),
      find: (query) => storage.find(query),
      purgeExpired: (limit) => this.arrival(storage.purgeExpired(limit)),
    };
  }

  private turn(): Promise<void> {
    if (this.state === 'runs') return Promise.resolve();
    return new Promise((resolve) => {
      if (this.state === 'blocked') this.answers.push(resolve);
    });
  }

  private set(ms: number, fn: () => void): LoopTimer {
    const timer: LoopTimer = { fn, handle: undefined };
    if (!this.alive) return timer;
    this.open.add(timer);
    timer.handle = this.outside.set(ms, () => {
      if (this.state === 'blocked') this.dueTimers.push(timer);
      else this.fire(timer);
    });
    return timer;
  }

  private clear(timer: LoopTimer): void {
    this.open.delete(timer);
    this.outside.clear(timer.handle);
  }

  private fire(timer: LoopTimer): void {
    if (this.open.delete(timer)) timer.fn();
  }
}
