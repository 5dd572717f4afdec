import { Backoff, promised } from './bounded.js';
import type { StepRun, StepTools } from './run-steps.js';
import { UNDOING_STEP, undoneMark } from './step-format.js';
import { untilAborted } from './until-aborted.js';

/** A finished step that is to be taken back. */
export interface UndoableStep {
  readonly name: string;
  readonly value: () => unknown;
  /** Undefined when the handler has not come to this step, so that nobody knows how. */
  readonly undo: ((result: unknown) => unknown) | undefined;
}

export interface UndoTerms {
  readonly run: StepRun;
  readonly tools: Pick<StepTools, 'timers' | 'randomness' | 'outside'>;
  /** The error that an earlier attempt has noted. */
  readonly undoing: Uint8Array | undefined;
  readonly error: () => Uint8Array;
}

/** A service that is away for a moment must not leave the rest to a retry. */
const TRIES = 4;
const FIRST_PAUSE_MS = 200;

/**
 * Undoes steps one after the other, in the order given. What they are undone for is noted first, and each that is done is
 * marked, so that whoever comes after a crash goes on from there. Nothing is begun that cannot be ended.
 *
 * @throws Error that names the step which is not undone
 */
export async function undoSteps(steps: readonly UndoableStep[], terms: UndoTerms): Promise<void> {
  if (steps.length === 0) return;
  const unreached = steps.filter(({ undo }) => undo === undefined).map(({ name }) => `\`${name}\``);
  if (unreached.length > 0) {
    throw new Error(
      `The handler has thrown before it came to ${unreached.join(', ')}, which an earlier attempt has done, so nobody knows how to undo ` +
        'that. Nothing is undone. Let what is thrown for good depend on steps alone, not on what may have changed in between.',
    );
  }
  if (terms.undoing === undefined) {
    const error = terms.error();
    await persistently(terms, 'The final error could not be noted, so nothing is undone', () =>
      save(terms, UNDOING_STEP, error),
    );
  }
  for (const { name, undo, value } of steps) {
    await persistently(terms, `\`${name}\` could not be undone`, async () =>
      terms.tools.outside(() => undo?.(value())),
    );
    await persistently(terms, `\`${name}\` is undone, and that could not be noted`, () =>
      save(terms, undoneMark(name), new Uint8Array()),
    );
  }
}

async function save({ run }: UndoTerms, name: string, value: Uint8Array): Promise<void> {
  // The signal has aborted by then.
  if ((await run.saveStep(name, value)) === 'lease_lost') throw new Error('another attempt owns the record');
}

/** Tries a few times, as long as the lease holds. */
async function persistently(
  { run, tools }: UndoTerms,
  failure: string,
  fn: () => Promise<unknown>,
): Promise<void> {
  const backoff = new Backoff(tools.timers, tools.randomness, FIRST_PAUSE_MS);
  for (let left = TRIES - 1; ; left -= 1) {
    // A process that stood still has not heard of it yet; its own clock knows.
    if (run.signal.aborted || !run.leaseConfirmed()) throw new Error(`${failure}: the lease is lost.`);
    try {
      const done = await untilAborted(
        run.signal,
        promised(fn).then(() => true),
      );
      if (done === true) return;
    } catch (error) {
      if (left === 0) throw new Error(`${failure}: ${messageOf(error)}`, { cause: error });
      await backoff.pause();
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
