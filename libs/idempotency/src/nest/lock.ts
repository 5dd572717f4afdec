import { durationMs, PLAIN_NUMBER_LIMIT_S, type Duration } from '../core/duration.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { BeginOutcome } from '../core/idempotency-engine.js';
import { LOCK_OPERATION, lockId } from '../core/record-id.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';

/** Options of `IdempotencyService.withLock()`. */
export interface LockOptions {
  /**
   * How long the lock outlives a holder that has died. It is renewed while the holder works, for at most the module's
   * `maxRun`.
   *
   * @default the module's `lease`
   */
  readonly lease?: Duration;
  /**
   * How long to wait for a lock that somebody else holds. Without it the answer is `lock-held` at once.
   *
   * When a lock is released exactly one of those who wait gets it, not necessarily the first of them.
   */
  readonly wait?: Duration;
}

/** What the work under a lock gets to know. */
export interface HeldLock {
  /** Aborts when the lease is lost: somebody else may hold the lock from now on. */
  readonly signal: AbortSignal;
}

/**
 * An unfinished lock is gone with its lease, not kept for a retry as a record is: a holder of yesterday has no say about
 * the next one.
 */
const KEEP_MS = 1;

/** A claim that is never completed: it is given up when the work is done, and no trace of it stays. */
export async function withLock<T>(
  runtime: IdempotencyRuntime,
  name: string,
  options: LockOptions,
  fn: (lock: HeldLock) => T | Promise<T>,
): Promise<Awaited<T>> {
  if (typeof name !== 'string' || name === '') {
    throw new InvalidOptionsError(
      'withLock: the name of a lock must be a string that says what is locked, such as `order:user_123`.',
    );
  }
  const { engine, defaults, namespace, problems } = runtime;
  const leaseMs =
    options.lease === undefined
      ? defaults.leaseMs
      : durationMs('lease', options.lease, PLAIN_NUMBER_LIMIT_S.lease);
  const wait = options.wait;
  const waitTimeoutMs = wait === undefined ? 0 : durationMs('wait', wait, PLAIN_NUMBER_LIMIT_S.waitTimeout);
  const outcome = await engine.begin({
    id: lockId(namespace, name),
    operation: LOCK_OPERATION,
    fingerprint: LOCK_OPERATION,
    ttlMs: KEEP_MS,
    leaseMs,
    maxRunMs: Math.max(defaults.maxRunMs, leaseMs),
    inFlight: wait === undefined ? 'reject' : 'wait',
    waitTimeoutMs,
    storageTimeoutMs: defaults.storageTimeoutMs,
    takeOver: true,
  });
  if (outcome.kind !== 'run') throw refusal(problems, outcome);
  const { run } = outcome;
  try {
    return await fn({ signal: run.signal });
  } finally {
    // Owner-checked: a lock that has become somebody else's stays theirs.
    await run.release({ forget: true });
  }
}

function refusal(problems: IdempotencyRuntime['problems'], outcome: Exclude<BeginOutcome, { kind: 'run' }>) {
  switch (outcome.kind) {
    case 'in_progress':
      return problems.lockHeld(outcome.retryAfterMs);
    case 'unavailable':
      return problems.lockUnavailable(outcome.error);
    case 'unreadable':
      return problems.recordUnreadable(outcome.error);
    // Nobody completes a lock, has another fingerprint for it, or looks for abandoned ones.
    case 'replay':
    case 'reused':
    case 'abandoned':
      return problems.recordUnreadable(new Error(`a lock is '${outcome.kind}', which none can be`));
  }
}
