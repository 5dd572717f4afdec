import { Deferred, promised, sleep, within } from './bounded.js';
import type { IdempotencyStorage } from './idempotency-storage.js';
import type { Clock, Randomness, Timers } from './ports.js';
import type { TimerScope } from './timer-scope.js';

/** The pauses between two looks at a foreign run: quick for quick handlers, never slower than four times a second. */
const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 250;

/**
 * Waiting for runs of other processes. All who wait for the same record here share one poll: one of them, the poller,
 * looks; when its own time is up it hands the poll to the next.
 *
 * @typeParam T what a look finds and everybody may use
 */
export class ForeignRuns<T> {
  private readonly polls = new Map<string, Poll<T>>();

  constructor(
    private readonly clock: Clock,
    private readonly timers: TimerScope,
    private readonly randomness: Randomness,
    private readonly waitForChange?: IdempotencyStorage['waitForChange'],
  ) {}

  /**
   * @param until when this waiter gives up, by the monotonic clock
   * @param look asks the storage once; 'running' when the foreign run has not ended
   * @param share what the other waiters get from what was found
   */
  async wait(
    id: string,
    until: number,
    look: () => Promise<T | 'running'>,
    share: (found: T) => T,
  ): Promise<T | 'timeout'> {
    const existing = this.polls.get(id);
    if (existing !== undefined) {
      const told = await existing.join(this.timers, until - this.clock.monotonicMs());
      if (told !== 'poll') return told;
    }
    const poll = existing ?? new Poll<T>();
    this.polls.set(id, poll);
    for (;;) {
      const left = until - this.clock.monotonicMs();
      if (left > 0 && !this.timers.closed) {
        await this.pause(id, Math.min(left, poll.nextPause(this.randomness)));
      }
      if (left <= 0 || this.timers.closed) {
        if (!poll.handOver()) this.polls.delete(id);
        return 'timeout';
      }
      const found = await look();
      if (found === 'running') continue;
      this.polls.delete(id);
      poll.tellAll(share(found));
      return found;
    }
  }

  /** Ends early when the storage can tell that the record may have changed. */
  private async pause(id: string, ms: number): Promise<void> {
    const { waitForChange } = this;
    if (waitForChange === undefined) return sleep(this.timers, ms);
    const changed = await within(
      this.timers,
      ms,
      promised(() => waitForChange(id, ms)),
    );
    if (changed.kind === 'failed') await sleep(this.timers, ms);
  }
}

class Poll<T> {
  private readonly waiters = new Set<Deferred<T | 'poll'>>();
  private pause = FIRST_PAUSE_MS;

  async join(timers: Timers, ms: number): Promise<T | 'poll' | 'timeout'> {
    const waiter = new Deferred<T | 'poll'>();
    this.waiters.add(waiter);
    const told = await within(timers, ms, waiter.promise);
    if (told.kind === 'answered') return told.value;
    // Chosen as the next poller in the same instant as its time was up: the poll must not die with it.
    if (!this.waiters.delete(waiter)) return waiter.promise;
    return 'timeout';
  }

  nextPause(randomness: Randomness): number {
    const pause = this.pause;
    this.pause = Math.min(this.pause * 2, LAST_PAUSE_MS);
    return pause * (0.75 + randomness.fraction() / 4);
  }

  handOver(): boolean {
    for (const waiter of this.waiters) {
      this.waiters.delete(waiter);
      waiter.resolve('poll');
      return true;
    }
    return false;
  }

  tellAll(what: T): void {
    for (const waiter of this.waiters) waiter.resolve(what);
    this.waiters.clear();
  }
}
