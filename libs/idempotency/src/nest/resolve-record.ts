import { encodeValue } from '../core/plain-value.js';
import { encodeResult, type StoredResult } from '../core/result.js';
import { responseToResult, type HeaderList } from '../http/recorded-response.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { systemRandomness } from './system-ports.js';

/** What becomes of a record whose run ended without an outcome. */
export type Resolution =
  | 'rerun'
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      /** A string or bytes as they are; anything else as JSON. */
      readonly body?: unknown;
    }
  | { readonly value: unknown };

export async function resolveRecord(
  runtime: IdempotencyRuntime,
  id: string,
  resolution: Resolution,
): Promise<void> {
  const { storage, defaults, problems } = runtime;
  const result = resolution === 'rerun' ? undefined : resultOf(resolution);
  const record = await storage.get(id);
  if (record === undefined)
    throw new Error(`There is no record ${id}: it was never claimed, or its time is over.`);
  const claim = { id, ownerToken: systemRandomness.uuid() };
  const { fingerprint } = record;
  // Ours from here on: a retry that comes meanwhile is told to wait.
  const outcome = await storage.claim(id, {
    ownerToken: claim.ownerToken,
    fingerprint,
    leaseMs: defaults.leaseMs,
    keepMs: Math.max(1, record.expiresInMs),
    takeOver: true,
  });
  if (outcome.kind === 'completed')
    throw new Error(`Record ${id} is completed; forget() it first to let its key run again.`);
  if (outcome.kind !== 'claimed') {
    throw problems.keyInProgress(outcome.kind === 'in_progress' ? outcome.leaseRemainingMs : 0);
  }
  const ended =
    result === undefined
      ? await storage.release(claim, { forget: false })
      : await storage.complete(claim, encodeResult(result), defaults.ttlMs);
  if (ended === 'lease_lost') {
    throw new Error(`Record ${id} was taken over or removed while it was resolved; look at it again.`);
  }
}

function resultOf(resolution: Exclude<Resolution, 'rerun'>): StoredResult {
  if ('value' in resolution) {
    const body = encodeValue(resolution.value);
    if (body === undefined) throw new TypeError('resolve(): `value` must be plain data that survives JSON.');
    return { kind: 'value', meta: {}, body };
  }
  const { status, headers = {}, body } = resolution;
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new RangeError(`resolve(): \`status\` is ${status}; it must be a status of HTTP, 200 to 599.`);
  }
  const asIs = typeof body === 'string' || body instanceof Uint8Array || body === undefined;
  const given: HeaderList = Object.entries(headers);
  const typed = asIs || given.some(([name]) => name.toLowerCase() === 'content-type');
  return responseToResult({
    status,
    headers: typed ? given : [...given, ['Content-Type', 'application/json; charset=utf-8']],
    body: body instanceof Uint8Array ? body : Buffer.from(asIs ? (body ?? '') : JSON.stringify(body)),
    framing: 'whole',
  });
}
