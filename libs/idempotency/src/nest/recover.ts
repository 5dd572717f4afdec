import type { Caller } from './caller.js';
import type { RunningOperation } from './idempotent-operation.js';

/** An error before the handler could begin: nothing has happened, and the record stays as it was found. */
export class NotBegun extends Error {
  constructor(override readonly cause: unknown) {
    super('the handler did not begin');
  }
}

/**
 * Asks the user's `recover` what an earlier run came to; undefined when the handler is to run.
 *
 * @throws NotBegun
 */
export async function recover(caller: Caller, operation: RunningOperation): Promise<unknown> {
  const { recover: ask, onAbandoned } = caller.plan.options;
  if (ask === undefined) return undefined;
  let earlier: unknown;
  try {
    earlier = await ask(operation, caller.context);
  } catch (error) {
    // What a step in it has done must not be forgotten.
    throw operation.hasSavedSteps ? error : new NotBegun(error);
  }
  if (earlier === undefined && onAbandoned === 'refuse') {
    throw new NotBegun(caller.runtime.problems.outcomeUnknown());
  }
  return earlier;
}
