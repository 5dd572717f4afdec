import { sleep, within, type Answer } from './bounded.js';
import { RecordUnreadableError } from './errors.js';
import type {
  Claim,
  ClaimOutcome,
  ClaimRequest,
  IdempotencyStorage,
  ReleaseOptions,
} from './idempotency-storage.js';
import type { Clock, Randomness } from './ports.js';
import { StrayClaims } from './stray-claims.js';
import type { TimerScope } from './timer-scope.js';

export interface ClaimQuestion extends Omit<ClaimRequest, 'ownerToken'> {
  readonly id: string;
  readonly storageTimeoutMs: number;
}

type Claimed = Extract<ClaimOutcome, { kind: 'claimed' }>;
export type Refused = Exclude<ClaimOutcome, Claimed>;

export type ClaimAnswer =
  | {
      readonly kind: 'claimed';
      readonly outcome: Claimed;
      readonly claim: Claim;
      /** When the question was sent, by the monotonic clock: the lease counts from here at the earliest. */
      readonly sentAt: number;
      /** Must be told when the claim was released: a question that is still on its way would claim it for nobody. */
      readonly released: (options: ReleaseOptions) => void;
    }
  | { readonly kind: 'refused'; readonly outcome: Refused }
  | { readonly kind: 'failed'; readonly error: unknown };

interface Sent {
  readonly outcome: ClaimOutcome;
  readonly sentAt: number;
}

/** Pause before the second question when the first one failed at once: a reconnect takes a moment. */
const PAUSE_MS = 50;

/**
 * Asks the storage for a claim within a bounded time. An answer that was lost on the way is asked for once more with
 * the same owner token.
 */
export class Claimer {
  private readonly strays: StrayClaims;

  constructor(
    private readonly storage: IdempotencyStorage,
    private readonly clock: Clock,
    private readonly timers: TimerScope,
    private readonly randomness: Randomness,
    private readonly onFailure: (id: string, error: unknown) => void,
  ) {
    this.strays = new StrayClaims(storage, clock, timers, randomness);
  }

  async ask(question: ClaimQuestion): Promise<ClaimAnswer> {
    const deadline = this.clock.monotonicMs() + question.storageTimeoutMs;
    const stray = this.strays.of(question.id);
    const answer = await this.askUntil(deadline, question);
    if (stray === undefined || !isHeld(answer)) return answer;
    // Perhaps by a claim of our own that was given up: its release is on the way.
    const gone = await within(this.timers, deadline - this.clock.monotonicMs(), stray);
    if (gone.kind !== 'answered') return answer;
    const again = await this.askUntil(deadline, question);
    return again.kind === 'failed' ? answer : again;
  }

  /** Resolves when every given-up claim has been dealt with. */
  settled(): Promise<void> {
    return this.strays.settled();
  }

  private async askUntil(deadline: number, question: ClaimQuestion): Promise<ClaimAnswer> {
    const { id, storageTimeoutMs, ...terms } = question;
    const claim: Claim = { id, ownerToken: this.randomness.uuid() };
    const left = () => deadline - this.clock.monotonicMs();
    const calls = [this.send(claim, terms)];
    let answer = await within(this.timers, left() / 2, firstOf(calls));
    if (answer.kind !== 'answered' && !isUnreadable(answer)) {
      if (answer.kind === 'failed') await sleep(this.timers, Math.min(PAUSE_MS, left() / 4));
      calls.push(this.send(claim, terms));
      answer = await within(this.timers, left(), firstOf(calls));
    }

    const giveUp = ({ forget }: ReleaseOptions) =>
      this.strays.add({ claim, calls, forget, leaseMs: terms.leaseMs, storageTimeoutMs });
    if (answer.kind !== 'answered') {
      const error =
        answer.kind === 'failed'
          ? answer.error
          : new Error(`the storage \`${this.storage.name}\` did not answer within ${storageTimeoutMs} ms`);
      if (!isUnreadable(answer)) this.onFailure(id, error);
      giveUp({ forget: true });
      return { kind: 'failed', error };
    }
    const { outcome, sentAt } = answer.value;
    // The other question may have claimed after this answer was given, or will: nobody would know. That holds for a completed
    // record too, which another process may have removed in between.
    const released = (options: ReleaseOptions) => {
      if (calls.length > 1) giveUp(options);
    };
    if (outcome.kind === 'claimed') return { kind: 'claimed', outcome, claim, sentAt, released };
    released({ forget: true });
    return { kind: 'refused', outcome };
  }

  private async send(claim: Claim, terms: Omit<ClaimRequest, 'ownerToken'>): Promise<Sent> {
    const sentAt = this.clock.monotonicMs();
    const outcome = await this.storage.claim(claim.id, { ...terms, ownerToken: claim.ownerToken });
    if (!isClaimOutcome(outcome)) {
      throw new RecordUnreadableError(
        `the storage \`${this.storage.name}\` answered what is no claim outcome`,
      );
    }
    const ageMs = this.clock.monotonicMs() - sentAt;
    if (outcome.kind === 'claimed' && ageMs >= terms.leaseMs) {
      throw new Error(
        `the claim was answered after ${ageMs} ms, when its lease of ${terms.leaseMs} ms was over`,
      );
    }
    return { outcome, sentAt };
  }
}

/** Storages are other people's code: what is neither of these must not be taken for the fault of the client. */
function isClaimOutcome(outcome: ClaimOutcome): boolean {
  // Typed as anything may be that comes from there.
  const given: Partial<Record<string, unknown>> | null | undefined = outcome;
  switch (given?.['kind']) {
    case 'claimed':
      return Number.isInteger(given['attempt']) && given['steps'] instanceof Map;
    case 'completed':
      return typeof given['fingerprint'] === 'string' && given['result'] instanceof Uint8Array;
    case 'in_progress':
    case 'abandoned':
      return typeof given['fingerprint'] === 'string';
    default:
      return false;
  }
}

function isHeld(answer: ClaimAnswer): boolean {
  return answer.kind === 'refused' && answer.outcome.kind !== 'completed';
}

function isUnreadable(answer: Answer<unknown>): boolean {
  return answer.kind === 'failed' && answer.error instanceof RecordUnreadableError;
}

/** The first call that answers; when all of them fail, the last failure. */
function firstOf(calls: readonly Promise<Sent>[]): Promise<Sent> {
  return Promise.any(calls).catch(({ errors }: AggregateError) => {
    throw errors.at(-1);
  });
}
