import { promised, sleep, within, type Answer } from './bounded.js';
import type { Clock, Randomness } from './ports.js';
import type { TimerScope } from './timer-scope.js';

export type Tried<T> = Exclude<Answer<T>, { kind: 'timeout' }>;

interface Tools {
  readonly clock: Clock;
  readonly timers: TimerScope;
  readonly randomness: Randomness;
  /** Told of each try that came to nothing. */
  readonly failed: (error: unknown) => void;
}

const FIRST_PAUSE_MS = 20;

/**
 * Calls a storage until an answer comes or the time is up: a connection that breaks and heals costs nobody anything. Never
 * rejects.
 */
export async function tryInTime<T>(
  call: () => Promise<T>,
  timeoutMs: number,
  { clock, timers, randomness, failed }: Tools,
): Promise<Tried<T>> {
  const until = clock.monotonicMs() + timeoutMs;
  for (let pause = FIRST_PAUSE_MS; ; pause *= 2) {
    const answer = await within(timers, until - clock.monotonicMs(), promised(call));
    if (answer.kind === 'answered') return answer;
    const error =
      answer.kind === 'failed'
        ? answer.error
        : new Error(`the storage did not answer within ${timeoutMs} ms`);
    failed(error);
    // Once the application has closed, its storage has too: one try each for what comes late, and no more.
    const isOver = timers.closed || clock.monotonicMs() + pause >= until;
    if (answer.kind === 'timeout' || isOver) return { kind: 'failed', error };
    await sleep(timers, pause * (0.5 + randomness.fraction() / 2));
  }
}
