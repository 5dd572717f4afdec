/**
 * What the broker is told of a message. `done`: it is through. `refused`: it never will be, so it goes to where the broker puts
 * such messages. `again`: it is to come once more.
 */
export type Verdict = 'done' | 'refused' | 'again';

const GRAVITY: Readonly<Record<Verdict, number>> = { done: 0, refused: 1, again: 2 };

/** Of several handlers of one message: as long as one of them needs it, it must not be lost to that one. */
export function worstOf(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce((worst, one) => (GRAVITY[one] > GRAVITY[worst] ? one : worst), 'done');
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
/** Of a message that has not run, from a broker that does not count: as `Retry-After` of a storage that does not answer. */
const PAUSE_WITHOUT_ATTEMPT_MS = 1000;

/**
 * How long a message waits before it comes again, half to the whole of it, so that those which failed together do not come
 * back together.
 *
 * @param attempt how often it has run, or has been delivered; undefined where nobody knows
 * @param fraction at least 0, below 1
 */
export function pauseBefore(attempt: number | undefined, fraction: number): number {
  const whole =
    attempt === undefined
      ? PAUSE_WITHOUT_ATTEMPT_MS
      : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt - 1, 20));
  return whole * (0.5 + fraction / 2);
}
