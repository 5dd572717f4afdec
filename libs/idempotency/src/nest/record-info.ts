import type { RecordView } from '../core/idempotency-storage.js';
import { RecordCodec } from '../core/record-codec.js';
import { operationOf } from '../core/record-id.js';
import { stepNames } from '../core/step-format.js';
import { decodeResult, type StoredResult } from '../core/result.js';
import { resourceFrom, type Resource } from '../http/recorded-response.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { systemTimers } from './system-ports.js';

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
  /** Names of the finished steps, in the order in which they were saved. */
  readonly steps: readonly string[];
  /** Names of those that are undone. */
  readonly undone: readonly string[];
  /** An attempt has ended in a final error and begun to undo; as long as it is in progress, a retry goes on with that. */
  readonly undoing: boolean;
  /**
   * What is kept: a recorded response, a recorded result, or only that it happened. `unreadable`: none of these, or no
   * codec of this app decodes it.
   */
  readonly result?: 'response' | 'value' | 'bodyless' | 'unreadable';
  readonly status?: number;
  readonly resource?: Resource;
  /** `op.correlationId` of the run that completed it. */
  readonly correlationId?: string;
}

export async function describeRecord(
  record: RecordView,
  runtime: IdempotencyRuntime,
): Promise<IdempotencyRecordInfo> {
  const { id, state, attempt, leaseRemainingMs, expiresInMs, ageMs, fingerprint, released } = record;
  const running = state === 'in_progress' && leaseRemainingMs > 0;
  const abandoned = state === 'in_progress' && !running && !released;
  const base = { id, operation: operationOf(id), state, attempt, running, abandoned };
  const { finished, undone, undoing } = stepNames(record.steps);
  const steps = { steps: finished, undone: [...undone], undoing };
  const view = { ...base, leaseRemainingMs, expiresInMs, ageMs, fingerprint, ...steps };
  if (record.result === undefined) return view;
  return { ...view, ...describeResult(await readResult(id, record.result, runtime)) };
}

/**
 * Undefined when it cannot be read: this is a view, not a replay. Before the first request of an operation its codec may not
 * be known, and each codec of the app is tried.
 */
async function readResult(
  id: string,
  stored: Uint8Array,
  { engine, defaults }: IdempotencyRuntime,
): Promise<StoredResult | undefined> {
  const bound = { timers: systemTimers, ms: defaults.storageTimeoutMs };
  for (const codec of engine.codecs.candidates(operationOf(id))) {
    try {
      return decodeResult(await new RecordCodec(id, codec, bound).decodeResult(stored));
    } catch {
      // The next one may read it; if none does, the answer says so.
    }
  }
  return undefined;
}

function describeResult(
  result: StoredResult | undefined,
): Pick<IdempotencyRecordInfo, 'result' | 'status' | 'resource' | 'correlationId'> {
  if (result === undefined) return { result: 'unreadable' };
  const { status, correlationId } = result.meta;
  const resource = resourceFrom(result.meta['resource']);
  return {
    result: result.kind,
    ...(typeof status === 'number' ? { status } : {}),
    ...(resource === undefined ? {} : { resource }),
    ...(typeof correlationId === 'string' ? { correlationId } : {}),
  };
}
