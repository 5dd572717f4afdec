import type { Settlement } from '../deliveries/delivery.js';
import type { Verdict } from '../deliveries/verdict.js';
import { IdempotencyException } from '../problems.js';
import { guarded } from '../user-callbacks.js';
import type { ValueExchange } from './value-exchange.js';

/** On a message that came to this error: what would be recorded as final is final for the broker too. */
export function verdictOf({ runtime, plan }: ValueExchange, error: unknown): Verdict {
  if (error instanceof IdempotencyException) return comesAgain(error) ? 'again' : 'refused';
  if (plan.transport === 'http') return 'again';
  try {
    const status = runtime.transportErrors.describe(error)?.status;
    const { record } = guarded(plan.options, runtime);
    const { transport } = plan;
    const named = status === undefined ? {} : { status };
    return record({ transport, phase: 'threw', error, ...named }) === 'keep' ? 'refused' : 'again';
  } catch (failure) {
    runtime.onFailure(failure);
    return 'again';
  }
}

/** A message whose key was not even claimed, because it was refused. */
export function refusedBy(exchange: ValueExchange, error: unknown): Settlement {
  // Whoever waits for a run of another process has no outcome yet, whatever he was told.
  const isRunning = error instanceof IdempotencyException && error.code === 'key-in-progress';
  return { verdict: verdictOf(exchange, error), told: !isRunning };
}

function comesAgain({ retryAfter }: IdempotencyException): boolean {
  return retryAfter !== undefined;
}
