import type { RecordView } from '../core/idempotency-storage.js';
import { operationOf } from '../core/record-id.js';
import { decodeResult, type StoredResult } from '../core/result.js';
import { resourceFrom, type Resource } from '../http/recorded-response.js';

/** A record as an operator sees it: no body, no key, no user. */
export interface IdempotencyRecordInfo {
  readonly id: string;
  readonly operation: string;
  readonly state: 'in_progress' | 'completed';
  readonly attempt: number;
  /** Somebody holds a lease, so the handler is probably running now. */
  readonly running: boolean;
  /** `in_progress`, and the lease ran out instead of being given up: a crash, or a run that was too slow. */
  readonly abandoned: boolean;
  readonly leaseRemainingMs: number;
  readonly expiresInMs: number;
  readonly ageMs: number;
  readonly fingerprint: string;
  /** What is kept: a recorded response, a recorded result, or only that it happened. `unreadable`: none of these. */
  readonly result?: 'response' | 'value' | 'bodyless' | 'unreadable';
  readonly status?: number;
  readonly resource?: Resource;
}

export function describeRecord(record: RecordView): IdempotencyRecordInfo {
  const { id, state, attempt, leaseRemainingMs, expiresInMs, ageMs, fingerprint, released } = record;
  const running = state === 'in_progress' && leaseRemainingMs > 0;
  const abandoned = state === 'in_progress' && !running && !released;
  const base = { id, operation: operationOf(id), state, attempt, running, abandoned };
  const view = { ...base, leaseRemainingMs, expiresInMs, ageMs, fingerprint };
  return record.result === undefined ? view : { ...view, ...describeResult(record.result) };
}

function describeResult(bytes: Uint8Array): Pick<IdempotencyRecordInfo, 'result' | 'status' | 'resource'> {
  let result: StoredResult;
  try {
    result = decodeResult(bytes);
  } catch {
    return { result: 'unreadable' }; // said in the answer: this is a view, not a replay
  }
  const { status } = result.meta;
  const resource = resourceFrom(result.meta['resource']);
  return {
    result: result.kind,
    ...(typeof status === 'number' ? { status } : {}),
    ...(resource === undefined ? {} : { resource }),
  };
}
