import { promised, within } from '../core/bounded.js';
import { RecordUnreadableError } from '../core/errors.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { systemTimers } from './system-ports.js';

/**
 * Asks the storage on behalf of somebody who looks after records, and waits no longer than for a request.
 *
 * @param ms at most, by default the module's `storageTimeout`
 * @throws RecordUnreadableError, or IdempotencyException `storage-unavailable`
 */
export async function operatorCall<T>(
  { defaults, problems, storage }: IdempotencyRuntime,
  call: () => Promise<T>,
  ms: number = defaults.storageTimeoutMs,
): Promise<T> {
  const answer = await within(systemTimers, ms, promised(call));
  if (answer.kind === 'answered') return answer.value;
  if (answer.kind === 'timeout') {
    throw problems.storageSilent(new Error(`the storage \`${storage.name}\` did not answer within ${ms} ms`));
  }
  if (answer.error instanceof RecordUnreadableError) throw answer.error;
  throw problems.storageSilent(answer.error);
}
