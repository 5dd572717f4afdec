import type { BeginOutcome } from '../core/idempotency-engine.js';
import type { Caller } from './caller.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';

/** What the engine says when the handler does not run and there is nothing to send again. */
type Refused = Exclude<BeginOutcome, { kind: 'run' | 'replay' }>;

/** Asks the engine for the record of a request. */
export function begin(exchange: Caller, id: string, fingerprint: string): Promise<BeginOutcome> {
  const { runtime, operation, correlationId, plan } = exchange;
  const { options } = plan;
  // With `recover` the crash is looked into first, so the record has to be ours.
  const takeOver = options.onAbandoned === 'rerun' || options.recover !== undefined;
  const { ttlMs, leaseMs, maxRunMs, inFlight, waitTimeoutMs, storageTimeoutMs, codec, localCache } = options;
  runtime.learnTtl(operation, ttlMs);
  return runtime.engine.begin({
    id,
    operation,
    correlationId,
    fingerprint,
    takeOver,
    // One by one: spreading so many options costs 9 µs.
    ttlMs,
    leaseMs,
    maxRunMs,
    inFlight,
    waitTimeoutMs,
    storageTimeoutMs,
    codec,
    localCache,
  });
}

/**
 * Lets pass what may run unprotected.
 *
 * @throws IdempotencyException for everything else
 */
export function refuse(caller: Caller, id: string, outcome: Refused): void {
  const { runtime, operation, correlationId, plan } = caller;
  const { onStorageFailure } = plan.options;
  refuseBy(runtime, { operation, correlationId, onStorageFailure }, id, outcome);
}

interface Unprotectable {
  readonly operation: string;
  readonly correlationId: string;
  readonly onStorageFailure: 'reject' | 'run';
}

/** The same, for work that is no handler. */
export function refuseBy(
  runtime: IdempotencyRuntime,
  { operation, correlationId, onStorageFailure }: Unprotectable,
  id: string,
  outcome: Refused,
): void {
  const { problems } = runtime;
  switch (outcome.kind) {
    case 'in_progress':
      throw problems.keyInProgress(outcome.retryAfterMs);
    case 'reused':
      throw problems.keyReused();
    case 'abandoned':
      throw problems.outcomeUnknown();
    case 'unreadable':
      throw problems.recordUnreadable(outcome.error);
    case 'unavailable':
      if (onStorageFailure === 'reject') throw problems.storageUnavailable(outcome.error);
      runtime.publish({ type: 'unprotected', id, operation, correlationId, error: outcome.error });
  }
}
