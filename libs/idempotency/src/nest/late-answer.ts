import type { Run } from '../core/run.js';
import { lateOutcomeIn, type HandlerValue, type LateOutcome } from '../http/late-outcome.js';
import type { Caller } from './caller.js';
import { errorAgain } from './http-errors.js';

/**
 * What an earlier attempt came to after its client had been answered by something else; undefined when there is none.
 *
 * @throws IdempotencyException `record-unreadable`
 */
export function lateOutcome(
  { runtime, operation, correlationId }: Pick<Caller, 'runtime' | 'operation' | 'correlationId'>,
  run: Run,
): LateOutcome | undefined {
  try {
    return lateOutcomeIn(run.steps);
  } catch (error) {
    void run.release({ forget: true });
    runtime.publish({ type: 'record-unreadable', id: run.id, operation, correlationId, error });
    throw runtime.problems.recordUnreadable(error);
  }
}

/** In the handler's place. @throws what it threw */
export function answerLate(late: LateOutcome): HandlerValue {
  if (late.phase === 'returned') return late;
  throw errorAgain(late);
}
