import type { CarriedValue } from '../../core/carried-value.js';
import type { Run } from '../../core/run.js';
import type { HandlerValue } from '../../http/late-outcome.js';
import type { Resource } from '../../http/recorded-response.js';
import { defaultRecordPolicy, type ExecutionOutcome, type RecordPolicy } from '../../http/retention.js';
import type { IdempotencyRuntime } from '../idempotency-runtime.js';
import type { Acknowledgement } from './acknowledgement.js';
import { bodyless, outcomeToResult, type ValueOutcome } from './recorded-value.js';

export interface ValueRecordTerms {
  readonly runtime: IdempotencyRuntime;
  readonly run: Run;
  readonly transport: Exclude<ExecutionOutcome['transport'], 'http'>;
  readonly record: RecordPolicy;
  readonly ttlMs: number;
  readonly maxResponseBytes: number;
  readonly carry: (value: unknown) => CarriedValue;
  readonly acknowledgement?: Acknowledgement | undefined;
}

/** Ends a run by what its handler came to. Its methods never reject: the handler has run, whatever becomes of its outcome. */
export class ValueRecord {
  resource: Resource | undefined;

  constructor(private readonly terms: ValueRecordTerms) {}

  /** Nothing has happened: the record becomes what this run found. */
  async notBegun(): Promise<void> {
    await this.terms.run.release({ forget: true });
    this.terms.acknowledgement?.pass();
  }

  async returned(value: HandlerValue): Promise<void> {
    if (this.decide({ ...this.base, phase: 'returned', value: value.value }) === 'release') {
      await this.terms.run.release({ forget: false });
    } else await this.keep({ kind: 'returned', value, acknowledged: this.terms.acknowledgement?.said });
    this.terms.acknowledgement?.pass();
  }

  async threw(error: unknown): Promise<void> {
    const described = this.describe(error);
    const status = described?.status;
    const outcome = {
      ...this.base,
      phase: 'threw',
      error,
      ...(status === undefined ? {} : { status }),
    } as const;
    if (this.decide(outcome) === 'release') await this.terms.run.release({ forget: false });
    // `record` may keep what is no refusal at all: then nobody knows what to say, but it is final.
    else if (described === undefined) await this.keepNothing();
    else await this.keep({ kind: 'threw', error: described.recorded });
    this.terms.acknowledgement?.pass();
  }

  /** It has had its effect, and what it came to cannot be had any more, or is too large. */
  async keepNothing(): Promise<void> {
    await this.complete(bodyless(this.resource));
    this.terms.acknowledgement?.pass();
  }

  private get base() {
    return { transport: this.terms.transport };
  }

  private async keep(outcome: ValueOutcome): Promise<void> {
    const { runtime, run, maxResponseBytes, carry } = this.terms;
    const { result, reason } = outcomeToResult(outcome, carry, maxResponseBytes, this.resource);
    if (reason !== undefined) runtime.warnOfUncarried(run.operation, reason);
    await this.complete(result);
  }

  private async complete(result: ReturnType<typeof bodyless>): Promise<void> {
    const { run, ttlMs, runtime } = this.terms;
    try {
      await run.complete(result, ttlMs);
    } catch (error) {
      runtime.onFailure(error);
      await run.complete(bodyless(undefined), ttlMs);
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
