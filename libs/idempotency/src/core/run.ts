import { promised, Deferred, sleep, within, type Answer } from './bounded.js';
import type { IdempotencyEventType } from './engine-events.js';
import type { Claim, IdempotencyStorage, OwnerOutcome, PreviousClaim, Steps } from './idempotency-storage.js';
import type { Lease, LeaseKeeper, LeaseLossReason } from './lease-keeper.js';
import type { Clock, Randomness, Timers } from './ports.js';
import { encodeResult, type StoredResult } from './result.js';

/** How a run ended, for those who wait for it. Waiters only ever get recorded outcomes. */
export type RunEnd =
  | { readonly kind: 'recorded'; readonly result: StoredResult; readonly expiresAtMonotonicMs: number }
  | { readonly kind: 'released' }
  | { readonly kind: 'lost' };

/** What became of the outcome that was handed in, or of the wish to give up. */
export type CompleteOutcome = 'recorded' | 'superseded' | 'unrecorded';
export type ReleaseOutcome = 'released' | 'superseded' | 'unreleased';

export interface RunTools {
  readonly storage: IdempotencyStorage;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly randomness: Randomness;
  readonly keeper: LeaseKeeper;
  readonly emit: (type: IdempotencyEventType, run: Run, error?: unknown) => void;
}

export interface RunTerms {
  readonly claim: Claim;
  readonly fingerprint: string;
  readonly attempt: number;
  readonly previous: PreviousClaim;
  readonly steps: Steps;
  readonly leaseMs: number;
  readonly maxRunMs: number;
  readonly storageTimeoutMs: number;
  readonly sentAt: number;
  readonly operation: string;
}

/** The right to run that the winner of a claim holds, and its duty to end it: `complete` or `release`, once. */
export class Run implements Lease {
  readonly renewUntil: number;
  readonly ended: Promise<RunEnd>;
  confirmedUntil: number;
  private readonly end = new Deferred<RunEnd>();
  private readonly aborter = new AbortController();
  private readonly endsAt: number;
  private ending = false;
  private lost = false;

  constructor(
    private readonly terms: RunTerms,
    private readonly tools: RunTools,
  ) {
    this.ended = this.end.promise;
    this.confirmedUntil = terms.sentAt + terms.leaseMs;
    this.renewUntil = terms.sentAt + terms.maxRunMs;
    this.endsAt = this.renewUntil;
    tools.keeper.add(this);
  }

  get claim(): Claim {
    return this.terms.claim;
  }
  get id(): string {
    return this.terms.claim.id;
  }
  get operation(): string {
    return this.terms.operation;
  }
  get fingerprint(): string {
    return this.terms.fingerprint;
  }
  get leaseMs(): number {
    return this.terms.leaseMs;
  }
  get attempt(): number {
    return this.terms.attempt;
  }
  get previous(): PreviousClaim {
    return this.terms.previous;
  }
  get steps(): Steps {
    return this.terms.steps;
  }
  /** Aborts when the lease is lost: another run may have started, so this one should stop what it can. */
  get signal(): AbortSignal {
    return this.aborter.signal;
  }
  /** How long it has been running. */
  get elapsedMs(): number {
    return this.tools.clock.monotonicMs() - this.terms.sentAt;
  }

  /** Whether this process may answer duplicates from what it knows, without asking the storage. */
  leaseConfirmed(): boolean {
    return !this.lost && this.tools.clock.monotonicMs() < this.confirmedUntil;
  }

  onLost(reason: LeaseLossReason): void {
    // While the outcome is being written, its own answer tells who owns the record.
    if (this.lost || (this.ending && reason === 'taken-over')) return;
    this.lost = true;
    this.tools.emit('lease-lost', this, new Error(LOSS[reason]));
    this.aborter.abort(new Error(`The lease of this operation is lost: ${LOSS[reason]}.`));
    if (!this.ending) this.end.resolve({ kind: 'lost' });
  }

  /**
   * Stores the outcome. Answers after `storageTimeout` at the latest; when the storage has not confirmed by then the
   * write goes on in the background until it is stored, another attempt owns the record, or `maxRun` has passed.
   */
  async complete(result: StoredResult, ttlMs: number): Promise<CompleteOutcome> {
    this.ending = true;
    const bytes = encodeResult(result);
    const recorded = (): RunEnd => ({
      kind: 'recorded',
      result,
      expiresAtMonotonicMs: this.tools.clock.monotonicMs() + ttlMs,
    });
    const write = () => this.tools.storage.complete(this.claim, bytes, ttlMs);
    const inTime = await this.tryFor(write, this.terms.storageTimeoutMs);
    if (inTime.kind === 'answered') return this.finish(inTime.value, recorded);
    this.tools.emit('unrecorded', this, inTime.kind === 'failed' ? inTime.error : undefined);
    void this.goOn(write, recorded);
    return 'unrecorded';
  }

  /** Gives the claim up. Answers after `storageTimeout` at the latest; a failed write is tried again in the background. */
  async release(options: { readonly forget: boolean }): Promise<ReleaseOutcome> {
    this.ending = true;
    const write = () => this.tools.storage.release(this.claim, options);
    const released = (): RunEnd => ({ kind: 'released' });
    const inTime = await this.tryFor(write, this.terms.storageTimeoutMs);
    if (inTime.kind === 'answered') return this.finish(inTime.value, released) === 'recorded' ? 'released' : 'superseded';
    void this.goOn(write, released);
    return 'unreleased';
  }

  /** Keeps a value with the record for the next attempt. @throws whatever the storage throws, or its silence */
  async saveStep(name: string, value: Uint8Array): Promise<OwnerOutcome> {
    const saved = await this.tryFor(
      () => this.tools.storage.saveStep(this.claim, name, value),
      this.terms.storageTimeoutMs,
    );
    if (saved.kind === 'answered') return saved.value;
    throw saved.kind === 'failed'
      ? saved.error
      : new Error(`the storage did not answer within ${this.terms.storageTimeoutMs} ms`);
  }

  /** Tries until an answer comes or the time is up: a connection that breaks and heals costs nobody anything. */
  private async tryFor(write: () => Promise<OwnerOutcome>, budgetMs: number): Promise<Answer<OwnerOutcome>> {
    const { clock, timers, randomness } = this.tools;
    const until = clock.monotonicMs() + budgetMs;
    for (let pause = 20; ; pause *= 2) {
      const answer = await within(timers, until - clock.monotonicMs(), promised(write));
      if (answer.kind !== 'failed') return answer;
      this.tools.emit('storage-failed', this, answer.error);
      if (clock.monotonicMs() + pause >= until) return answer;
      await sleep(timers, pause * (0.5 + randomness.fraction() / 2));
    }
  }

  /** Never rejects. */
  private async goOn(write: () => Promise<OwnerOutcome>, how: () => RunEnd): Promise<void> {
    const { clock, timers, randomness } = this.tools;
    // A run that finished just before its `maxRun` still gets as long as its lease, or nobody would ever learn.
    const until = Math.max(this.endsAt, clock.monotonicMs() + this.leaseMs);
    for (let pause = 100; clock.monotonicMs() < until; pause = Math.min(pause * 2, 2000)) {
      await sleep(timers, pause * (0.5 + randomness.fraction() / 2));
      const answer = await within(timers, this.terms.storageTimeoutMs, promised(write));
      if (answer.kind === 'answered') {
        this.finish(answer.value, how);
        return;
      }
    }
    this.tools.emit('outcome-dropped', this);
    this.settle({ kind: 'lost' });
  }

  private finish(outcome: OwnerOutcome, how: () => RunEnd): CompleteOutcome {
    const end: RunEnd = outcome === 'applied' ? how() : { kind: 'lost' };
    this.tools.emit(
      end.kind === 'recorded' ? 'completed' : end.kind === 'released' ? 'released' : 'superseded',
      this,
    );
    this.settle(end);
    return outcome === 'applied' ? 'recorded' : 'superseded';
  }

  private settle(end: RunEnd): void {
    this.tools.keeper.remove(this);
    if (end.kind === 'lost' && !this.lost) {
      this.lost = true;
      this.aborter.abort(new Error('The lease of this operation is lost: another claim owns the record.'));
    }
    this.end.resolve(end);
  }
}

const LOSS: Readonly<Record<LeaseLossReason, string>> = {
  'taken-over':
    'another request now owns this record, so the result will not be stored and the handler may run twice',
  unconfirmed: 'the storage has not confirmed it for its whole length, so another request may take it over',
  'max-run': 'the handler has run longer than `maxRun`, so the lease was not renewed any more',
};
