import type { RunSteps } from '../core/run-steps.js';
import type { Exchange } from './exchange.js';
import type { RunningExecution } from './running-execution.js';
import { guarded } from './user-callbacks.js';

type Unrecorded = Pick<Exchange, 'runtime' | 'plan'>;

/**
 * Runs a handler without a record. Each run is an operation of its own, so a final error is undone at once, as far as this
 * process lives: no retry could go on with it.
 */
export function unrecordedHandle(exchange: Unrecorded, steps: RunSteps): RunningExecution['handle'] {
  return async (handler) => {
    try {
      return await handler();
    } catch (error) {
      await steps.settled();
      if (isFinal(exchange, error)) await steps.undo(() => new Uint8Array());
      throw error;
    } finally {
      steps.forget();
    }
  };
}

function isFinal({ runtime, plan }: Unrecorded, error: unknown): boolean {
  const { transport } = plan;
  try {
    const status = runtime.transportErrors.describe(error)?.status;
    const { record } = guarded(plan.options, runtime);
    return (
      record({ transport, phase: 'threw', error, ...(status === undefined ? {} : { status }) }) === 'keep'
    );
  } catch (failure) {
    runtime.onFailure(failure);
    return false;
  }
}
