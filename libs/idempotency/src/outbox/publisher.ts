import { isObservable, lastValueFrom } from 'rxjs';
import { promised, within } from '../core/bounded.js';
import { inWords } from '../core/duration.js';
import type { Randomness, Timers } from '../core/ports.js';
import type { ClaimedMessage, Failure } from '../typeorm/outbox/outbox-table.js';
import { isRefusal, type PublishOutboxMessage } from './publish.js';
import type { RelayTerms } from './resolve-options.js';

/** How one try to publish ended. */
export type PublishOutcome =
  | { readonly kind: 'published' }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly error: unknown };

export interface PublisherParts {
  readonly publish: PublishOutboxMessage;
  readonly terms: Pick<RelayTerms, 'publishTimeoutMs' | 'attempts' | 'delayMs' | 'maxDelayMs'>;
  readonly timers: Timers;
  readonly randomness: Randomness;
}

/** Tries that have ended with their process, or have not begun before it did, beside those that a message has. */
const LOST_TRIES = 10;
/** What people read of an error; a broker's may hold half a message. */
const MAX_ERROR_LENGTH = 1000;

/** Tries to publish a message once, and says what is to become of it if that fails. */
export class Publisher {
  constructor(private readonly parts: PublisherParts) {}

  /** Never rejects. */
  async publish({ sequence: _, unreadable, ...message }: ClaimedMessage): Promise<PublishOutcome> {
    const { publish, terms, timers } = this.parts;
    if (unreadable !== undefined) return dead(new Error(unreadable));
    if (message.attempt > terms.attempts + LOST_TRIES)
      return dead(new Error('its tries do not come to an end: the process dies in them, or stands still'));
    const late = new AbortController();
    const { signal } = late;
    const call = promised(async () => ended(await publish(message, { signal })));
    const answer = await within(timers, terms.publishTimeoutMs, call);
    if (answer.kind === 'answered') return { kind: 'published' };
    if (answer.kind === 'failed') return this.failed(message.attempt, answer.error);
    const error = new Error(`publishing did not end within ${inWords(terms.publishTimeoutMs)}`);
    late.abort(error);
    return this.failed(message.attempt, error);
  }

  private failed(attempt: number, thrown: unknown): PublishOutcome {
    const { attempts, delayMs, maxDelayMs } = this.parts.terms;
    if (isRefusal(thrown) || attempt >= attempts) return dead(thrown);
    const pauseMs = Math.min(delayMs * 2 ** (attempt - 1), maxDelayMs);
    // Half to the whole of it, so that what has failed together does not come back together.
    const inMs = Math.ceil(pauseMs * (0.5 + this.parts.randomness.fraction() / 2));
    return { kind: 'failed', error: thrown, failure: { kind: 'retry', inMs, error: textOf(thrown) } };
  }
}

function dead(thrown: unknown): PublishOutcome {
  return { kind: 'failed', error: thrown, failure: { kind: 'dead', error: textOf(thrown) } };
}

/** What a `ClientProxy` returns has been said before it is done. */
async function ended(answer: unknown): Promise<unknown> {
  return isObservable(answer) ? lastValueFrom(answer, { defaultValue: undefined }) : answer;
}

/** For people, and for a column that holds text: without NUL. */
export function textOf(thrown: unknown): string {
  return plainText(thrown).replaceAll('\0', ' ').slice(0, MAX_ERROR_LENGTH);
}

function plainText(thrown: unknown): string {
  try {
    if (thrown instanceof Error && thrown.message !== '') return String(thrown.message);
    return String((thrown as { code?: unknown } | null | undefined)?.code ?? thrown);
  } catch {
    return 'something was thrown that makes no text';
  }
}
