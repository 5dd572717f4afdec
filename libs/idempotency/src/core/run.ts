import { Backoff, Deferred, promised, within } from './bounded.js';
import { commitFailure } from './commit-failure.js';
import { encodedOutcome, type EncodedOutcome } from './encoded-outcome.js';
import type { Claim, OwnerOutcome, PreviousClaim, ReleaseOptions, Steps } from './idempotency-storage.js';
import type { Lease, LeaseLossReason } from './lease-keeper.js';
import { RecordCodec } from './record-codec.js';
import type { StoredResult } from './result.js';
import type {
  CommitOutcome,
  CompleteOutcome,
  ReleaseOutcome,
  RunEnd,
  RunTerms,
  RunTools,
} from './run-terms.js';
import type { StorageTransaction } from './transaction.js';
import { tryInTime, type Tried } from './try-in-time.js';

/** One way to end a run. */
interface Ending {
  readonly event: 'completed' | 'released';
  readonly write: () => Promise<OwnerOutcome>;
  readonly applied: () => RunEnd;
}

/** The right to run that the winner of a claim holds, and its duty to end it: `complete` or `release`, once. */
export class Run implements Lease {
  readonly renewUntil: number;
  confirmedUntil: number;
  private readonly codec: RecordCodec;
  private readableSteps: Steps;
  private readonly end = new Deferred<RunEnd>();
  private readonly close = new Deferred<void>();
  private readonly gone = new Deferred<void>();
  private readonly aborter = new AbortController();
  private ending = false;
  private settled = false;
  private lost: LeaseLossReason | undefined;
  /** It may have committed, and then it is itself who owns the record no more. */
  private inDoubt = false;

  constructor(
    private readonly terms: RunTerms,
    private readonly tools: RunTools,
  ) {
    this.confirmedUntil = terms.sentAt + terms.leaseMs;
    this.renewUntil = terms.sentAt + terms.maxRunMs;
    this.readableSteps = terms.steps;
    const bound = { timers: tools.timers, ms: terms.storageTimeoutMs };
    this.codec = new RecordCodec(terms.claim.id, terms.codec, bound);
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
  get correlationId(): string | undefined {
    return this.terms.correlationId;
  }
  get previous(): PreviousClaim {
    return this.terms.previous;
  }
  /** Results of steps of earlier attempts. Those that are encoded must be decoded first. */
  get steps(): Steps {
    return this.readableSteps;
  }
  /** Aborts when the lease is lost: another run may have started, so this one should stop what it can. */
  get signal(): AbortSignal {
    return this.aborter.signal;
  }
  /** How long it has been running. */
  get elapsedMs(): number {
    return this.tools.clock.monotonicMs() - this.terms.sentAt;
  }
  /** Resolves as soon as those who wait can know what to do: with the outcome, or because the lease is lost. */
  get ended(): Promise<RunEnd> {
    return this.end.promise;
  }
  /** Resolves when the storage has heard of the end, or never will. */
  get closed(): Promise<void> {
    return this.close.promise;
  }

  /** Resolves when another run owns the record, or may begin at any moment: the last word, unlike `signal`. */
  get lostForGood(): Promise<void> {
    return this.gone.promise;
  }

  /** Whether this process may answer duplicates from what it knows, without asking the storage. */
  leaseConfirmed(): boolean {
    return !this.settled && this.lost === undefined && this.tools.clock.monotonicMs() < this.confirmedUntil;
  }

  /** Whether the lease may still be this run's, so that its process must not take over from itself. */
  mayBeOwner(): boolean {
    return !this.settled && (this.lost === undefined || this.lost === 'unconfirmed');
  }

  onLost(reason: LeaseLossReason): void {
    // While the outcome is being written, the answer to that tells who owns the record.
    if (this.ending) return;
    if (reason !== 'unconfirmed') this.gone.resolve();
    const news = this.lost === undefined;
    this.lost = reason;
    if (!news) return;
    this.tools.emit('lease-lost', this, new Error(LOSS[reason]));
    this.aborter.abort(new Error(`The lease of this operation is lost: ${LOSS[reason]}.`));
    this.end.resolve(ASK_AGAIN);
  }

  /**
   * Decodes what earlier attempts have saved.
   *
   * @throws RecordUnreadableError, or StorageUnavailableError when it cannot be told now
   */
  async decodeSteps(): Promise<void> {
    this.readableSteps = await this.codec.decodeSteps(this.terms.steps);
  }

  /**
   * Stores the outcome. Answers after `storageTimeout` at the latest, after as long again if it has a codec; when the
   * storage has not confirmed by then the write goes on in the background until it is stored, another attempt owns the
   * record, or `maxRun` has passed. An outcome that the codec fails on is stored without its body: the effect has happened.
   */
  async complete(result: StoredResult, ttlMs: number): Promise<CompleteOutcome> {
    const { stored, applied } = await this.outcome(result, ttlMs);
    const write = () => this.tools.storage.complete(this.claim, stored, ttlMs);
    const answer = await this.finish({ event: 'completed', write, applied });
    if (answer === 'unanswered') return 'unrecorded';
    return answer === 'applied' ? 'recorded' : 'superseded';
  }

  /**
   * Stores the outcome in a transaction and commits that, once: what did not surely commit counts as not done, and the
   * record tells whoever asks again. A run that is `uncommitted` must still be released. Never rejects.
   */
  async commit(result: StoredResult, ttlMs: number, transaction: StorageTransaction): Promise<CommitOutcome> {
    const { emit, timers } = this.tools;
    const { stored, applied } = await this.outcome(result, ttlMs);
    const write = async (): Promise<OwnerOutcome> => {
      const owner = await transaction.complete(this.claim, stored, ttlMs);
      if (owner === 'applied') await transaction.commit();
      return owner;
    };
    this.ending = true;
    // As long as the lease at most: a database that hangs must not hang the client.
    const answer = await within(timers, this.leaseMs, promised(write));
    if (answer.kind === 'answered' && answer.value === 'applied') {
      this.settle({ event: 'completed', applied }, 'applied');
      return 'recorded';
    }
    this.ending = false;
    this.inDoubt = answer.kind !== 'answered';
    if (answer.kind === 'answered') this.onLost('taken-over');
    else emit('commit-failed', this, commitFailure(answer));
    return 'uncommitted';
  }

  /** Asks whether the record is still this run's; if so, it is for another lease. Never rejects. */
  async isOwner(): Promise<boolean> {
    const renewals = [{ claim: this.claim, leaseMs: this.leaseMs }];
    const answer = await this.tryInTime(() => this.tools.storage.renew(renewals));
    const owner = answer.kind === 'answered' ? answer.value[0] : undefined;
    if (owner === 'lease_lost') this.onLost('taken-over');
    return owner === 'applied';
  }

  /** Gives the claim up. Answers after `storageTimeout` at the latest; the write goes on like that of an outcome. */
  async release(options: ReleaseOptions): Promise<ReleaseOutcome> {
    let asked = 0;
    let certain = false;
    const write = async (): Promise<OwnerOutcome> => {
      asked += 1;
      const outcome = await this.tools.storage.release(this.claim, options);
      if (outcome === 'applied') certain = true;
      // Of several calls one was heard and its answer lost: what was given up cannot be given up again.
      return asked > 1 && this.mayBeOwner() ? 'applied' : outcome;
    };
    const applied = () => {
      // If it is not certain the lease may have been taken over, and come back: then its run must not be forgotten.
      this.terms.released({ forget: certain || options.forget });
      return ASK_AGAIN;
    };
    const answer = await this.finish({ event: 'released', write, applied });
    if (answer === 'unanswered') return 'unreleased';
    return answer === 'applied' ? 'released' : 'superseded';
  }

  /** Keeps a value with the record for the next attempt. @throws whatever the storage or the codec throws, or its silence */
  async saveStep(name: string, value: Uint8Array): Promise<OwnerOutcome> {
    const stored = await this.codec.encodeStep(name, value);
    const saved = await this.tryInTime(() => this.tools.storage.saveStep(this.claim, name, stored));
    if (saved.kind === 'failed') throw saved.error;
    if (saved.value === 'lease_lost') this.onLost('taken-over');
    return saved.value;
  }

  private outcome(result: StoredResult, ttlMs: number): Promise<EncodedOutcome> {
    const { codec, terms, tools } = this;
    return encodedOutcome(result, ttlMs, {
      codec,
      terms,
      tools,
      failed: (error) => tools.emit('codec-failed', this, error),
    });
  }

  private tryInTime<T>(call: () => Promise<T>): Promise<Tried<T>> {
    const failed = (error: unknown) => this.tools.emit('storage-failed', this, error);
    return tryInTime(call, this.terms.storageTimeoutMs, { ...this.tools, failed });
  }

  private async finish(ending: Ending): Promise<OwnerOutcome | 'unanswered'> {
    this.ending = true;
    const answer = await this.tryInTime(() => this.tell(ending));
    if (answer.kind === 'answered') return answer.value;
    if (ending.event === 'completed') this.tools.emit('unrecorded', this, answer.error);
    void this.goOn(ending);
    return 'unanswered';
  }

  /** Whenever it comes, an answer ends the run. */
  private async tell(ending: Ending): Promise<OwnerOutcome> {
    const outcome = await ending.write();
    this.settle(ending, outcome);
    return outcome;
  }

  /** Never rejects. */
  private async goOn(ending: Ending): Promise<void> {
    const { clock, timers, randomness } = this.tools;
    // A run that finished just before its `maxRun` still gets as long as its lease, or nobody would ever learn.
    const until = Math.max(this.renewUntil, clock.monotonicMs() + this.leaseMs);
    const backoff = new Backoff(timers, randomness, 100);
    for (;;) {
      await backoff.pause();
      if (this.settled) return;
      if (timers.closed || clock.monotonicMs() >= until) return this.settle(ending, 'unanswered');
      await within(timers, this.terms.storageTimeoutMs, this.tell(ending));
    }
  }

  /** The first answer counts. */
  private settle({ event, applied }: Omit<Ending, 'write'>, outcome: OwnerOutcome | 'unanswered'): void {
    if (this.settled) return;
    this.settled = true;
    this.tools.keeper.remove(this);
    if (outcome === 'applied') this.tools.emit(event, this);
    else if (outcome === 'lease_lost') {
      if (!this.inDoubt) this.tools.emit('superseded', this);
      this.aborter.abort(new Error('The lease of this operation is lost: another claim owns the record.'));
    } else if (event === 'completed') this.tools.emit('outcome-dropped', this);
    this.end.resolve(outcome === 'applied' ? applied() : ASK_AGAIN);
    this.close.resolve();
  }
}

const ASK_AGAIN: RunEnd = { kind: 'ask again' };

const LOSS: Readonly<Record<LeaseLossReason, string>> = {
  'taken-over':
    'another request now owns this record, so the result will not be stored and the handler may run twice',
  unconfirmed: 'the storage has not confirmed it for its whole length, so another request may take it over',
  'max-run': 'the handler has run longer than `maxRun`, so the lease was not renewed any more',
};
