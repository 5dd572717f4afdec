import type { CarriedValue } from '../../core/carried-value.js';
import type { StoredResult } from '../../core/result.js';
import type { ReleaseOutcome } from '../../core/run-terms.js';
import type { KeepOutcome, RefuseOutcome, Work } from '../../core/work.js';
import type { HandlerValue } from '../../http/late-outcome.js';
import type { Resource } from '../../http/recorded-response.js';
import { defaultRecordPolicy, type ExecutionOutcome, type RecordPolicy } from '../../http/retention.js';
import { encodeFinalError } from '../final-error.js';
import type { IdempotencyRuntime } from '../idempotency-runtime.js';
import type { IdempotencyException } from '../problems.js';
import type { Part } from '../deliveries/delivery.js';
import type { Verdict } from '../deliveries/verdict.js';
import type { Acknowledgement } from './acknowledgement.js';
import { bodyless, outcomeToResult, type ValueOutcome } from './recorded-value.js';

export interface ValueRecordTerms {
  readonly runtime: IdempotencyRuntime;
  readonly work: Work;
  readonly transport: Exclude<ExecutionOutcome['transport'], 'http'>;
  readonly record: RecordPolicy;
  readonly ttlMs: number;
  readonly maxResponseBytes: number;
  readonly carry: (value: unknown) => CarriedValue;
  readonly acknowledgement?: Acknowledgement | undefined;
  /** Of the delivery of its message, where the broker waits for an acknowledgement. */
  readonly part?: Part | undefined;
}

/**
 * Ends a run by what its handler came to. Its methods never reject: the handler has run, whatever becomes of its outcome. Some
 * answer with a refusal: that is to be said instead, because what the handler did is undone, or not undone as it must be.
 */
export class ValueRecord {
  resource: Resource | undefined;

  constructor(private readonly terms: ValueRecordTerms) {}

  /**
   * Nothing has happened: the record becomes what this run found.
   *
   * @param verdict on its message, if it is about one
   */
  async notBegun(verdict: Verdict = 'again'): Promise<void> {
    await this.terms.work.giveUp({ forget: true });
    this.terms.acknowledgement?.pass();
    this.terms.part?.settle({ verdict, told: true });
  }

  returned(value: HandlerValue): Promise<IdempotencyException | undefined> {
    return this.returning(value)();
  }

  /** The same in two parts: the value is taken as it is now, and kept when the function is called. */
  returning(value: HandlerValue): () => Promise<IdempotencyException | undefined> {
    const { work, acknowledgement, ttlMs } = this.terms;
    if (this.wantsMessageAgain) return async () => this.releaseMessage();
    if (this.decide({ ...this.base, phase: 'returned', value: value.value }) === 'release') {
      return async () => this.saying(await work.letGo(), 'done');
    }
    const result = this.resultOf({ kind: 'returned', value, acknowledged: acknowledgement?.said });
    return async () => this.saying(await this.ended(result, (kept) => work.keep(kept, ttlMs)), 'done');
  }

  /** Somebody else has answered: what it writes in a transaction is not to last. */
  abandon(): void {
    this.terms.work.abandon();
  }

  /** What it wrote is undone, and nothing is kept: a retry does it once more. */
  async undone(): Promise<void> {
    await this.releaseMessage();
  }

  /** Its handler has begun in a transaction. */
  get isTransactional(): boolean {
    return this.terms.work.isTransactional;
  }

  async threw(error: unknown): Promise<IdempotencyException | undefined> {
    const { runtime, work, ttlMs } = this.terms;
    const described = this.describe(error);
    const status = described?.status;
    const outcome = {
      ...this.base,
      phase: 'threw',
      error,
      ...(status === undefined ? {} : { status }),
    } as const;
    if (work.steps.undoing === undefined && (this.wantsMessageAgain || this.decide(outcome) === 'release')) {
      return this.releaseMessage();
    }
    const refuse = (result: StoredResult) =>
      work.refuse(result, ttlMs, () => encodeFinalError(runtime.transportErrors, error));
    // `record` may keep what is no refusal at all: then nobody knows what to say, but it is final.
    if (described === undefined)
      return this.saying(await this.ended(bodyless(this.resource), refuse), 'refused');
    const result = this.resultOf({ kind: 'threw', error: described.recorded });
    return this.saying(await this.ended(result, refuse), 'refused');
  }

  /** It has had its effect, and what it came to cannot be had any more, or is too large. */
  async keepNothing(): Promise<IdempotencyException | undefined> {
    const { work, ttlMs } = this.terms;
    return this.saying(
      await this.ended(bodyless(this.resource), (result) => work.keep(result, ttlMs)),
      'done',
    );
  }

  private get base() {
    return { transport: this.terms.transport };
  }

  /** The handler has given its message back to the broker by itself, so it is to run again. */
  private get wantsMessageAgain(): boolean {
    return this.terms.part?.word === 'again';
  }

  private async releaseMessage(): Promise<IdempotencyException | undefined> {
    await this.terms.work.giveUp({ forget: false });
    return this.saying('released', 'again');
  }

  /**
   * The acknowledgement that a handler sent by itself is its answer: it goes out unless a refusal takes its place.
   *
   * @param verdict on its message, if the outcome is what it was meant to be
   */
  private saying(
    outcome: KeepOutcome | RefuseOutcome | ReleaseOutcome,
    verdict: Verdict,
  ): IdempotencyException | undefined {
    const { runtime, work, acknowledgement, part } = this.terms;
    const { attempt } = work.run;
    // Its successor's outcome counts: whoever gets the message next waits for that.
    if (outcome === 'superseded') part?.settle({ verdict: 'again', attempt, told: false });
    else {
      const failed = outcome === 'uncommitted' || outcome === 'not undone';
      part?.settle({ verdict: failed ? 'again' : verdict, attempt, told: true });
    }
    if (outcome !== 'uncommitted' && outcome !== 'not undone') {
      acknowledgement?.pass();
      return undefined;
    }
    acknowledgement?.drop();
    return runtime.problems.instead(outcome === 'uncommitted' ? 'commit-failed' : 'undo-failed');
  }

  private resultOf(outcome: ValueOutcome): StoredResult {
    const { runtime, work, maxResponseBytes, carry } = this.terms;
    const { result, reason } = outcomeToResult(outcome, carry, maxResponseBytes, this.resource);
    if (reason !== undefined) runtime.warnOfUncarried(work.run.operation, reason);
    return result;
  }

  private async ended<T>(result: StoredResult, end: (result: StoredResult) => Promise<T>): Promise<T> {
    try {
      return await end(result);
    } catch (error) {
      this.terms.runtime.onFailure(error);
      return end(bodyless(undefined));
    }
  }

  /** The error is the user's, and so is what its members do. */
  private describe(error: unknown) {
    try {
      return this.terms.runtime.transportErrors.describe(error);
    } catch (failure) {
      this.terms.runtime.onFailure(failure);
      return undefined;
    }
  }

  private decide(outcome: ExecutionOutcome) {
    try {
      return this.terms.record(outcome);
    } catch (error) {
      this.terms.runtime.onFailure(error);
      return defaultRecordPolicy(outcome);
    }
  }
}
