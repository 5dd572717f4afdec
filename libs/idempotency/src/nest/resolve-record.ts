import { RecordUnreadableError } from '../core/errors.js';
import { encodeValue } from '../core/plain-value.js';
import { isLockId, keyHash, operationOf } from '../core/record-id.js';
import { stepNames } from '../core/step-format.js';
import type { Run } from '../core/run.js';
import type { StoredResult } from '../core/result.js';
import { checkHeaders } from '../http/header-list.js';
import { responseToResult, type HeaderList } from '../http/recorded-response.js';
import { belongsToExchange } from '../http/replayable-headers.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { operatorCall } from './operator-call.js';

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
  if (isLockId(id))
    throw new Error(`${id} is a lock, not a record: it is freed when its holder ends, or with its lease.`);
  const { storage, engine, defaults, problems } = runtime;
  const result = resolution === 'rerun' ? undefined : resultOf(resolution);
  const record = await operatorCall(runtime, () => storage.get(id));
  if (record === undefined)
    throw new Error(`There is no record ${id}: it was never claimed, or its time is over.`);
  const { fingerprint } = record;
  const operation = operationOf(id);
  const codec = engine.codecs.of(operation);
  // Ours from here on: a retry that comes meanwhile is told to wait, and nothing is answered from a cache.
  const terms = { ...defaults, codec, localCache: undefined, inFlight: 'reject', takeOver: true } as const;
  const outcome = await engine.begin({ ...terms, id, operation, fingerprint });
  switch (outcome.kind) {
    case 'run':
      break;
    case 'replay':
      throw new Error(`Record ${id} is completed; forget() it first to let its key run again.`);
    case 'unreadable':
      if (outcome.error instanceof RecordUnreadableError) throw outcome.error;
      throw problems.storageSilent(outcome.error);
    case 'unavailable':
      throw problems.storageSilent(outcome.error);
    case 'in_progress':
      throw problems.keyInProgress(outcome.retryAfterMs);
    case 'reused':
    case 'abandoned':
      throw problems.keyInProgress(0);
  }
  const { run } = outcome;
  const ttlMs = runtime.ttlOf(operation);
  if (result !== undefined) warnOfUndone(runtime, run);
  const ended =
    result === undefined ? await run.release({ forget: false }) : await run.complete(result, ttlMs);
  if (ended === 'superseded') {
    throw new Error(`Record ${id} was taken over or removed while it was resolved; look at it again.`);
  }
  if (ended === 'unrecorded' || ended === 'unreleased') {
    throw problems.storageSilent(
      new Error('the decision is not confirmed yet; it is written when the storage is back'),
    );
  }
}

/** The word of an operator is the last one: what an attempt had begun to undo stays half undone. */
function warnOfUndone({ logger }: IdempotencyRuntime, { steps, operation, id }: Run): void {
  const { finished, undone, undoing } = stepNames(steps);
  const left = finished.filter((name) => !undone.has(name));
  if (!undoing || left.length === 0) return;
  logger.warn(
    `A record was resolved by hand while its steps ${left.map((name) => `\`${name}\``).join(', ')} were not undone; they stay so. [${operation}, record ${keyHash(id)}]`,
  );
}

function resultOf(resolution: Exclude<Resolution, 'rerun'>): StoredResult {
  if ('value' in resolution) {
    const body = encodeValue(resolution.value);
    if (body === undefined) throw new TypeError('resolve(): `value` must be plain data that survives JSON.');
    return { kind: 'value', meta: {}, body };
  }
  const { status, headers = {}, body } = resolution;
  if (!Number.isInteger(status) || status < 200 || status > 999) {
    throw new RangeError(`resolve(): \`status\` is ${status}; it must be a status of HTTP, 200 to 999.`);
  }
  const asIs = typeof body === 'string' || body instanceof Uint8Array || body === undefined;
  const given: HeaderList = Object.entries(headers);
  checkHeaders(given);
  for (const [name] of given) {
    if (belongsToExchange(name) || name.toLowerCase() === 'content-length') {
      throw new TypeError(`resolve(): \`${name}\` is set anew by every exchange. Leave it out.`);
    }
  }
  const typed = asIs || given.some(([name]) => name.toLowerCase() === 'content-type');
  return responseToResult({
    status,
    headers: typed ? given : [...given, ['Content-Type', 'application/json; charset=utf-8']],
    body: body instanceof Uint8Array ? body : Buffer.from(asIs ? (body ?? '') : JSON.stringify(body)),
    framing: 'whole',
  });
}
