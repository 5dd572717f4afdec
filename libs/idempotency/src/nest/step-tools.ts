import { InvalidOptionsError } from '../core/errors.js';
import { RunSteps, type StepRefusals, type StepRun, type StepTools } from '../core/run-steps.js';
import type { Run } from '../core/run.js';
import type { StorageTransaction } from '../core/transaction.js';
import { finalErrorAgain } from './final-error.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { systemRandomness } from './system-ports.js';
import type { Transport } from './transports.js';

type Named = Pick<Run, 'id' | 'operation'> & Partial<Pick<Run, 'attempt' | 'correlationId'>>;

/**
 * The steps of a run, and of the attempts before it.
 *
 * @throws IdempotencyException `record-unreadable`
 */
export function stepsOf(
  runtime: IdempotencyRuntime,
  run: Run,
  transport: Transport,
  transaction: StorageTransaction | undefined,
): RunSteps {
  try {
    const steps = new RunSteps(run, stepTools(runtime, run, transport, transaction));
    if (steps.undoing !== undefined) finalErrorAgain(runtime.transportErrors, transport, steps.undoing);
    return steps;
  } catch (error) {
    void run.release({ forget: true });
    runtime.publish({ type: 'record-unreadable', ...named(run), error });
    throw runtime.problems.recordUnreadable(error);
  }
}

/** Steps of a run without a record: they just run, and what undoes them is lost with the process. */
export function unrecordedSteps(
  runtime: IdempotencyRuntime,
  operation: string,
  transport: Transport,
  signal: AbortSignal,
): RunSteps {
  const run: StepRun = {
    steps: new Map(),
    saveStep: async () => 'applied',
    leaseConfirmed: () => true,
    signal,
  };
  return new RunSteps(run, stepTools(runtime, { id: '', operation }, transport));
}

function stepTools(
  runtime: IdempotencyRuntime,
  run: Named,
  transport: Transport,
  transaction?: StorageTransaction,
): StepTools {
  return {
    timers: runtime.timers,
    randomness: systemRandomness,
    refusals: refusalsOf(runtime, run.operation, transport),
    outside: (fn) => (transaction === undefined ? fn() : transaction.leave(fn)),
    onUndoFailed: (error) => runtime.publish({ type: 'undo-failed', ...named(run), error }),
  };
}

function named({ id, operation, attempt, correlationId }: Named) {
  return {
    id,
    operation,
    ...(attempt === undefined ? {} : { attempt }),
    ...(correlationId === undefined ? {} : { correlationId }),
  };
}

function refusalsOf(runtime: IdempotencyRuntime, operation: string, transport: Transport): StepRefusals {
  const { problems, transportErrors } = runtime;
  /** A mistake in the handler: it has to be mended there, whatever its client is told. */
  const told = <E extends Error>(error: E): E => {
    runtime.logMistake(operation, error.message);
    return error;
  };
  return {
    badName: (name, reason) =>
      told(new InvalidOptionsError(`op.step() cannot use ${JSON.stringify(name)} as a name: ${reason}.`)),
    reused: (name) => told(problems.stepReused(name)),
    notStorable: (name) => told(problems.stepNotStorable(name)),
    unsaved: (name, cause) => problems.stepUnsaved(name, cause),
    over: () => problems.keyInProgress(0),
    ended: (error) => finalErrorAgain(transportErrors, transport, error),
  };
}
