import { isRefused } from '../message-refused.js';

/** At least one consumer of an event has failed. */
export class EventFailedError extends Error {
  /** No further try can mend it: whoever failed has refused what the message says. */
  readonly isFinal: boolean;

  /** @param reasons what each of the consumers that failed has thrown */
  constructor(pattern: string, reasons: readonly unknown[]) {
    super(`A consumer of ${pattern} has failed: ${reasons.map((reason) => wordsOf(reason)).join('; ')}`, {
      cause: reasons[0],
    });
    this.isFinal = reasons.every((reason) => isRefused(reason));
  }
}

/** Nest turns what a consumer throws into what it would send to a caller: an error, or some object. */
function wordsOf(reason: unknown): string {
  const { message, detail } = reason as { message?: unknown; detail?: unknown };
  const words = detail ?? message;
  return typeof words === 'string' ? words : String(reason);
}
