import type { Timers } from '../core/ports.js';
import type { Run } from '../core/run.js';
import { LATE_STEP } from './late-outcome.js';

/** Between tries: about half a minute in all, if each of them takes its time. */
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 6400;

interface Tools {
  readonly timers: Timers;
  readonly onFailure: (error: unknown) => void;
}

/**
 * Saves a late outcome with its record. Nobody waits for it, and without it the outcome is lost: so it is tried again
 * for a storage that is away for a moment, as long as the lease holds.
 *
 * @returns `false` when it is not saved. Never rejects
 */
export async function saveLateOutcome(
  run: Pick<Run, 'saveStep' | 'signal'>,
  bytes: Uint8Array,
  { timers, onFailure }: Tools,
): Promise<boolean> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs *= 2) {
    try {
      return (await run.saveStep(LATE_STEP, bytes)) === 'applied';
    } catch (error) {
      onFailure(error);
      if (run.signal.aborted || pauseMs > LAST_PAUSE_MS) return false;
    }
    await new Promise<void>((resolve) => void timers.set(pauseMs, resolve));
  }
}
