import { promised, Deferred, sleep, within, type Answer } from './bounded.js';
import { RecordUnreadableError } from './errors.js';
import type { Claim, ClaimOutcome, ClaimRequest, IdempotencyStorage } from './idempotency-storage.js';
import type { Clock, Randomness, Timers } from './ports.js';

export interface ClaimQuestion extends Omit<ClaimRequest, 'ownerToken'> {
  readonly id: string;
  readonly storageTimeoutMs: number;
}

export type ClaimAnswer =
  | {
      readonly kind: 'outcome';
      readonly outcome: ClaimOutcome;
      readonly claim: Claim;
      /** When the question was sent, by the monotonic clock: the lease counts from here at the earliest. */
      readonly sentAt: number;
    }
  | { readonly kind: 'failed'; readonly error: unknown };

/** Pause before the second question when the first one failed at once: a reconnect takes a moment. */
const PAUSE_MS = 50;

/**
 * Asks the storage for a claim within a bounded time. An answer that was lost on the way is asked for once more with
 * the same owner token. A claim that was given up is released when its answer arrives, so that nobody's claim never
 * blocks a key for the length of a lease.
 */
export class Claimer {
  /** Ids whose given-up claims have not been cleaned up yet. */
  private readonly strays = new Map<string, Promise<void>>();

  constructor(
    private readonly storage: IdempotencyStorage,
    private readonly clock: Clock,
    private readonly timers: Timers,
    private readonly randomness: Randomness,
    private readonly onFailure: (id: string, error: unknown) => void,
  ) {}

  async ask(question: ClaimQuestion): Promise<ClaimAnswer> {
    const { id, storageTimeoutMs, ...rest } = question;
    const deadline = this.clock.monotonicMs() + storageTimeoutMs;
    const stray = this.strays.get(id);
    // Our own given-up claim holds the record: its release is on the way, and a 409 in between would be nobody's.
    if (stray !== undefined) await within(this.timers, storageTimeoutMs / 2, stray);
    const claim: Claim = { id, ownerToken: this.randomness.uuid() };
    const request: ClaimRequest = { ...rest, ownerToken: claim.ownerToken };
    const calls: Promise<ClaimOutcome>[] = [];
    const sentAt = this.clock.monotonicMs();
    const send = () => {
      const call = promised(() => this.storage.claim(id, request));
      calls.push(call);
      return call;
    };

    let answer = await within(this.timers, (deadline - sentAt) / 2, send());
    if (answer.kind !== 'answered' && !isFinal(answer)) {
      const left = deadline - this.clock.monotonicMs();
      if (answer.kind === 'failed') await sleep(this.timers, Math.min(PAUSE_MS, left / 4));
      answer = await within(
        this.timers,
        deadline - this.clock.monotonicMs(),
        firstAnswer([...calls, send()]),
      );
    }
    if (answer.kind === 'answered') {
      const { value: outcome } = answer;
      return { kind: 'outcome', outcome, claim, sentAt };
    }
    const error =
      answer.kind === 'failed'
        ? answer.error
        : new Error(`the storage \`${this.storage.name}\` did not answer within ${storageTimeoutMs} ms`);
    this.onFailure(id, error);
    this.cleanUp(claim, calls, question.leaseMs);
    return { kind: 'failed', error };
  }

  /** Resolves when every given-up claim has been dealt with. */
  async settled(): Promise<void> {
    await Promise.all(this.strays.values());
  }

  private cleanUp(claim: Claim, calls: readonly Promise<ClaimOutcome>[], leaseMs: number): void {
    const done = this.releaseStray(claim, calls, leaseMs).finally(() => {
      if (this.strays.get(claim.id) === done) this.strays.delete(claim.id);
    });
    this.strays.set(claim.id, done);
  }

  /** Never rejects. */
  private async releaseStray(
    claim: Claim,
    calls: readonly Promise<ClaimOutcome>[],
    leaseMs: number,
  ): Promise<void> {
    const outcomes = await Promise.allSettled(calls);
    const mayHold = (outcome: PromiseSettledResult<ClaimOutcome>) =>
      outcome.status === 'rejected'
        ? !(outcome.reason instanceof RecordUnreadableError)
        : outcome.value.kind === 'claimed';
    if (!outcomes.some(mayHold)) return;
    // Until its lease is over; after that it is an expired lease like any other.
    const giveUpAt = this.clock.monotonicMs() + leaseMs;
    for (let pause = PAUSE_MS; this.clock.monotonicMs() < giveUpAt; pause = Math.min(pause * 2, 2000)) {
      const released = await within(
        this.timers,
        leaseMs,
        promised(() => this.storage.release(claim, { forget: true })),
      );
      if (released.kind === 'answered') return;
      await sleep(this.timers, pause * (0.5 + this.randomness.fraction() / 2));
    }
  }
}

function isFinal(answer: Answer<ClaimOutcome>): boolean {
  return answer.kind === 'failed' && answer.error instanceof RecordUnreadableError;
}

/** The first call that answers; when none does, the last failure. */
function firstAnswer(calls: readonly Promise<ClaimOutcome>[]): Promise<ClaimOutcome> {
  const first = new Deferred<Promise<ClaimOutcome>>();
  let open = calls.length;
  for (const call of calls) {
    call.then(
      () => first.resolve(call),
      () => {
        open -= 1;
        if (open === 0) first.resolve(call);
      },
    );
  }
  return first.promise.then((call) => call);
}
