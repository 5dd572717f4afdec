import type { BeginRequest } from '../core/idempotency-engine.js';
import { decodeValue, encodeValue } from '../core/plain-value.js';
import type { Run } from '../core/run.js';
import { resourceFrom, type Resource } from '../http/recorded-response.js';
import { RunningOperation, type IdempotentOperation } from './idempotent-operation.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';

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
  const { engine, problems } = runtime;
  const outcome = await engine.begin(request);
  switch (outcome.kind) {
    case 'run':
      return { value: await runWork(runtime, outcome.run, request, key, work), replayed: false };
    case 'replay': {
      const { result } = outcome;
      if (result.kind !== 'value') throw problems.notReplayable(resourceFrom(result.meta['resource']));
      try {
        const value = decodeValue(result.body) as T;
        runtime.publish({ type: 'replayed', id: request.id, operation: request.operation });
        return { value, replayed: true };
      } catch (error) {
        runtime.publish({ type: 'record-unreadable', id: request.id, operation: request.operation, error });
        throw problems.recordUnreadable(error);
      }
    }
    case 'in_progress':
      throw problems.keyInProgress(outcome.retryAfterMs);
    case 'reused':
      throw problems.keyReused();
    case 'abandoned':
      throw problems.outcomeUnknown();
    case 'unreadable':
      throw problems.recordUnreadable(outcome.error);
    case 'unavailable': {
      if (runtime.defaults.onStorageFailure === 'reject') throw problems.storageUnavailable(outcome.error);
      const { id, operation } = request;
      runtime.publish({ type: 'unprotected', id, operation, error: outcome.error });
      const { signal } = new AbortController();
      const facts = { key, recordId: id, attempt: 1, takenOver: false, signal };
      return { value: await work(new RunningOperation(facts, () => {})), replayed: false };
    }
  }
}

async function runWork<T>(
  runtime: IdempotencyRuntime,
  run: Run,
  request: BeginRequest,
  key: string,
  work: (op: IdempotentOperation) => T | Promise<T>,
): Promise<T> {
  let resource: Resource | undefined;
  const facts = {
    key,
    recordId: run.id,
    attempt: run.attempt,
    takenOver: run.previous === 'expired',
    signal: run.signal,
  };
  let value: T;
  try {
    value = await work(new RunningOperation(facts, (named) => (resource = named)));
  } catch (error) {
    await run.release({ forget: false });
    throw error;
  }
  const body = encodeValue(value);
  if (body === undefined) {
    runtime.logger.warn(
      `The result of ${request.operation} does not survive JSON, so its replay will be refused (result-not-replayable). Return plain data.`,
    );
  }
  const meta = { resource };
  await run.complete(
    body === undefined ? { kind: 'bodyless', meta, body: new Uint8Array(0) } : { kind: 'value', meta, body },
    request.ttlMs,
  );
  return value;
}
