import type { BeginRequest } from '../core/idempotency-engine.js';
import type { CarriedValue } from '../core/carried-value.js';
import { encodeValue } from '../core/plain-value.js';
import type { StoredResult } from '../core/result.js';
import type { Run } from '../core/run.js';
import { resourceFrom } from '../http/recorded-response.js';
import { resultToOutcome } from './by-value/recorded-value.js';
import { ValueRecord } from './by-value/value-record.js';
import { refuseBy } from './claim.js';
import { RunningOperation, type IdempotentOperation } from './idempotent-operation.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { IdempotencyException } from './problems.js';

/** What `IdempotencyService.run` came to. */
export interface JobResult<T> {
  readonly value: T;
  /** `true`: the work was done before, and this is its recorded result. */
  readonly replayed: boolean;
}

/** Work by value: no request, no response. */
export async function runJob<T>(
  runtime: IdempotencyRuntime,
  request: BeginRequest,
  key: string,
  work: (op: IdempotentOperation) => T | Promise<T>,
): Promise<JobResult<T>> {
  const { engine, defaults } = runtime;
  const { id, operation } = request;
  const outcome = await engine.begin(request);
  if (outcome.kind === 'run') {
    return { value: await runWork(runtime, outcome.run, request, key, work), replayed: false };
  }
  if (outcome.kind === 'replay') {
    return { value: replayed(runtime, request, outcome.result) as T, replayed: true };
  }
  refuseBy(runtime, { operation, onStorageFailure: defaults.onStorageFailure }, id, outcome);
  const { signal } = new AbortController();
  const facts = { key, recordId: id, attempt: 1, takenOver: false, signal };
  return { value: await work(new RunningOperation(facts, () => {})), replayed: false };
}

function replayed(
  runtime: IdempotencyRuntime,
  { id, operation }: BeginRequest,
  result: StoredResult,
): unknown {
  const { problems } = runtime;
  try {
    const kept = resultToOutcome(result, runtime.classes);
    if (kept.kind !== 'returned') throw problems.notReplayable(resourceFrom(result.meta['resource']));
    runtime.publish({ type: 'replayed', id, operation });
    return kept.value.value;
  } catch (error) {
    if (error instanceof IdempotencyException) throw error;
    runtime.publish({ type: 'record-unreadable', id, operation, error });
    throw problems.recordUnreadable(error);
  }
}

async function runWork<T>(
  runtime: IdempotencyRuntime,
  run: Run,
  { ttlMs }: BeginRequest,
  key: string,
  work: (op: IdempotentOperation) => T | Promise<T>,
): Promise<T> {
  const record = new ValueRecord({
    runtime,
    run,
    transport: 'job',
    // A job that threw may always run again: nobody outside was told that it failed for good.
    record: ({ phase }) => (phase === 'returned' ? 'keep' : 'release'),
    ttlMs,
    maxResponseBytes: Infinity,
    carry: carryPlain,
  });
  const takenOver = run.previous === 'expired';
  const facts = { key, recordId: run.id, attempt: run.attempt, takenOver, signal: run.signal };
  let value: T;
  try {
    value = await work(new RunningOperation(facts, (named) => (record.resource = named)));
  } catch (error) {
    await record.threw(error);
    throw error;
  }
  await record.returned({ value });
  return value;
}

/** What a job gets again must be what it got: plain data, whose class nobody can miss. */
function carryPlain(value: unknown): CarriedValue {
  const bytes = encodeValue(value);
  return bytes === undefined
    ? { kind: 'refused', reason: 'it does not survive JSON' }
    : { kind: 'carried', bytes };
}
