import type { BeginRequest } from '../core/idempotency-engine.js';
import type { CarriedValue } from '../core/carried-value.js';
import { encodeValue } from '../core/plain-value.js';
import type { StoredResult } from '../core/result.js';
import type { Run } from '../core/run.js';
import type { HandlerValue } from '../http/late-outcome.js';
import { resourceFrom } from '../http/recorded-response.js';
import { resultToOutcome } from './by-value/recorded-value.js';
import { ValueRecord } from './by-value/value-record.js';
import { refuseBy } from './claim.js';
import { RunningOperation, type IdempotentOperation } from './idempotent-operation.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { factsOf } from './http-run.js';
import { answerLate, lateOutcome } from './late-answer.js';
import { IdempotencyException } from './problems.js';
import { NotBegun } from './recover.js';
import type { ResolvedOptions } from './resolve-options.js';
import { runHandler, workOf } from './run-handler.js';
import { unrecordedSteps } from './step-tools.js';
import { endAgain } from './undo-mode.js';

/** What `IdempotencyService.run` came to. */
export interface JobResult<T> {
  readonly value: T;
  /** `true`: the work was done before, and this is its recorded result. */
  readonly replayed: boolean;
}

/** What a job asks for. */
export type JobRequest = BeginRequest &
  Pick<ResolvedOptions, 'transactional'> & { readonly correlationId: string };

/** Work by value: no request, no response. */
export async function runJob<T>(
  runtime: IdempotencyRuntime,
  request: JobRequest,
  key: string,
  task: (op: IdempotentOperation) => T | Promise<T>,
): Promise<JobResult<T>> {
  const { engine, defaults } = runtime;
  const { id, operation } = request;
  runtime.learnTtl(operation, request.ttlMs);
  const outcome = await engine.begin(request);
  const alone = onItsOwn(runtime, request, task);
  if (outcome.kind === 'run') {
    return { value: await runWork(runtime, outcome.run, request, key, alone), replayed: false };
  }
  if (outcome.kind === 'replay') {
    return { value: replayed(runtime, request, outcome.result) as T, replayed: true };
  }
  const { correlationId } = request;
  refuseBy(runtime, { operation, correlationId, onStorageFailure: defaults.onStorageFailure }, id, outcome);
  const { signal } = new AbortController();
  const steps = unrecordedSteps(runtime, operation, 'http', signal);
  const facts = { key, recordId: id, attempt: 1, takenOver: false, signal, correlationId, steps };
  return { value: await alone(new RunningOperation(facts, () => {})), replayed: false };
}

/**
 * Work that says that it is done must not be undone with the handler that asked for it: it stays out of that one's transaction.
 * With `transactional` it has one of its own.
 */
function onItsOwn<T>(
  { transactions }: IdempotencyRuntime,
  { transactional }: JobRequest,
  task: (op: IdempotentOperation) => T | Promise<T>,
): typeof task {
  return transactional || transactions === undefined ? task : (op) => transactions.outside(() => task(op));
}

function replayed(
  runtime: IdempotencyRuntime,
  { id, operation, correlationId }: JobRequest,
  result: StoredResult,
): unknown {
  const { problems } = runtime;
  try {
    const kept = resultToOutcome(result, runtime.classes);
    if (kept.kind !== 'returned') throw problems.notReplayable(resourceFrom(result.meta['resource']));
    runtime.publish({ type: 'replayed', id, operation, correlationId });
    return kept.value.value;
  } catch (error) {
    if (error instanceof IdempotencyException) throw error;
    runtime.publish({ type: 'record-unreadable', id, operation, correlationId, error });
    throw problems.recordUnreadable(error);
  }
}

async function runWork<T>(
  runtime: IdempotencyRuntime,
  run: Run,
  { operation: name, correlationId, ttlMs, transactional }: JobRequest,
  key: string,
  task: (op: IdempotentOperation) => T | Promise<T>,
): Promise<T> {
  const { problems } = runtime;
  const work = workOf(runtime, run, { transactional }, 'http');
  const record = new ValueRecord({
    runtime,
    work,
    transport: 'job',
    // A job that threw may always run again: nobody outside was told that it failed for good.
    record: ({ phase }) => (phase === 'returned' ? 'keep' : 'release'),
    ttlMs,
    maxResponseBytes: Infinity,
    carry: carryPlain,
  });
  const operation = new RunningOperation(factsOf(work, key), (named) => (record.resource = named));
  // A route that shares its records with us may have ended, or begun to undo.
  const late = lateOutcome({ runtime, operation: name, correlationId }, run);
  const { undoing } = work.steps;
  const result = async (): Promise<HandlerValue> => {
    if (undoing !== undefined)
      return endAgain(work, undoing, { runtime, transport: 'http' }, () => task(operation));
    return late === undefined ? runHandler(work, problems, () => task(operation)) : answerLate(late);
  };
  let value: T;
  try {
    value = (await result()).value as T;
  } catch (error) {
    if (error instanceof NotBegun) {
      await record.notBegun();
      throw error.cause;
    }
    throw (await record.threw(error)) ?? error;
  }
  const instead = await record.returned({ value });
  if (instead !== undefined) throw instead;
  return value;
}

/** What a job gets again must be what it got: plain data, whose class nobody can miss. */
function carryPlain(value: unknown): CarriedValue {
  const bytes = encodeValue(value);
  return bytes === undefined
    ? { kind: 'refused', reason: 'it does not survive JSON' }
    : { kind: 'carried', bytes };
}
