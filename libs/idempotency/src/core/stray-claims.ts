import { Backoff, Deferred, promised, within } from './bounded.js';
import { RecordUnreadableError } from './errors.js';
import type { Claim, ClaimOutcome, IdempotencyStorage } from './idempotency-storage.js';
import type { Clock, Randomness } from './ports.js';
import type { TimerScope } from './timer-scope.js';

/** A claim that nobody wants any more, and the questions for it whose answers say whether the storage holds it. */
export interface StrayClaim {
  readonly claim: Claim;
  readonly calls: readonly Promise<{ readonly outcome: ClaimOutcome }>[];
  /** How it is released. */
  readonly forget: boolean;
  readonly leaseMs: number;
  readonly storageTimeoutMs: number;
}

interface PlannedRelease extends StrayClaim {
  readonly giveUpAt: number;
  readonly done: Deferred<void>;
}

const FIRST_PAUSE_MS = 50;
/**
 * Past its lease too: the next request would otherwise take it for a run that crashed, and with `takeOver: false` nobody
 * could run until somebody resolves it.
 */
const TRY_FOR_MS = 600_000;
/** In a long outage nearly all claims fail without having reached the storage. Those of its beginning matter. */
const MOST_RELEASES = 10_000;

/**
 * Releases claims that were given up before their answers came, so that nobody's claim never blocks a key for the
 * length of a lease. Each is released when its answer arrives: before that, it may not have been there yet.
 *
 * One release at a time: when an outage is over there may be thousands, and the requests of the living come first.
 */
export class StrayClaims {
  private readonly strays = new Map<string, Promise<unknown>>();
  private readonly releases: PlannedRelease[] = [];
  private releasing = false;

  constructor(
    private readonly storage: Pick<IdempotencyStorage, 'release'>,
    private readonly clock: Clock,
    private readonly timers: TimerScope,
    private readonly randomness: Randomness,
  ) {}

  add(stray: StrayClaim): void {
    const { id } = stray.claim;
    const gone = Promise.all([this.strays.get(id), this.dealWith(stray)]).then(() => {
      if (this.strays.get(id) === gone) this.strays.delete(id);
    });
    this.strays.set(id, gone);
  }

  /** Resolves when the stray claims of this id are gone; `undefined` when there are none. */
  of(id: string): Promise<unknown> | undefined {
    return this.strays.get(id);
  }

  /** Resolves when every stray claim is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.strays.values());
  }

  /** Never rejects. */
  private async dealWith(stray: StrayClaim): Promise<void> {
    const answers = await Promise.allSettled(stray.calls);
    const mayHold = answers.some((answer) =>
      answer.status === 'fulfilled'
        ? answer.value.outcome.kind === 'claimed'
        : !(answer.reason instanceof RecordUnreadableError),
    );
    if (!mayHold || this.releases.length >= MOST_RELEASES) return;
    const giveUpAt = this.clock.monotonicMs() + Math.max(stray.leaseMs, TRY_FOR_MS);
    const done = new Deferred<void>();
    this.releases.push({ ...stray, giveUpAt, done });
    if (!this.releasing) void this.releaseAll();
    await done.promise;
  }

  /** Never rejects. */
  private async releaseAll(): Promise<void> {
    this.releasing = true;
    const backoff = new Backoff(this.timers, this.randomness, FIRST_PAUSE_MS);
    for (let next = this.releases.shift(); next !== undefined; next = this.releases.shift()) {
      if (await this.release(next)) {
        next.done.resolve();
        backoff.reset();
      } else {
        this.releases.push(next);
        await backoff.pause();
      }
    }
    this.releasing = false;
  }

  /** `false`: it has to be tried again. */
  private async release({ claim, forget, giveUpAt, storageTimeoutMs }: PlannedRelease): Promise<boolean> {
    if (this.timers.closed || this.clock.monotonicMs() >= giveUpAt) return true;
    const call = promised(() => this.storage.release(claim, { forget }));
    const answer = await within(this.timers, storageTimeoutMs, call);
    const unreadable = answer.kind === 'failed' && answer.error instanceof RecordUnreadableError;
    return answer.kind === 'answered' || unreadable || this.timers.closed;
  }
}
