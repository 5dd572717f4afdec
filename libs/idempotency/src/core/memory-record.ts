import type { ClaimRequest, PreviousClaim, RecordView, Steps } from './idempotency-storage.js';

/** One record of `MemoryStorage`. Times are on the injected monotonic clock. */
export interface MemoryRecord {
  readonly id: string;
  readonly fingerprint: string;
  readonly attempt: number;
  /** `undefined` once the claim was given up. */
  readonly ownerToken: string | undefined;
  readonly previous: PreviousClaim;
  readonly released: boolean;
  readonly keepMs: number;
  readonly firstClaimedAt: number;
  readonly leaseUntil: number;
  readonly expiresAt: number;
  readonly steps: Map<string, Uint8Array>;
  /** What `release` with `forget` goes back to. */
  readonly found: Found;
  readonly result?: Uint8Array;
}

/** Of the record that a claim found: its owner may be alive after all. */
export interface Found {
  readonly ownerToken: string | undefined;
  readonly previous: PreviousClaim;
  readonly steps: Steps;
}

export const NOTHING_FOUND: Found = { ownerToken: undefined, previous: 'none', steps: new Map() };

export function newRun(
  id: string,
  request: ClaimRequest,
  found: MemoryRecord | undefined,
  now: number,
): MemoryRecord {
  const { ownerToken, fingerprint, keepMs } = request;
  return {
    id,
    ownerToken,
    fingerprint,
    keepMs,
    found:
      found === undefined
        ? NOTHING_FOUND
        : { ownerToken: found.ownerToken, previous: found.previous, steps: found.steps },
    attempt: (found?.attempt ?? 0) + 1,
    previous: found === undefined ? 'none' : found.released ? 'released' : 'expired',
    released: false,
    firstClaimedAt: found?.firstClaimedAt ?? now,
    steps: new Map(found?.steps),
    ...lease(request, now),
  };
}

/** The record after its claim was given up. */
export function givenUp(record: MemoryRecord, now: number): MemoryRecord {
  return {
    ...record,
    ownerToken: undefined,
    released: true,
    leaseUntil: now,
    expiresAt: now + record.keepMs,
  };
}

/** The record as its claim found it; `undefined` when it found none. */
export function undone(record: MemoryRecord, now: number): MemoryRecord | undefined {
  if (record.previous === 'none') return undefined;
  const { found } = record;
  return {
    ...givenUp(record, now),
    released: record.previous === 'released',
    attempt: record.attempt - 1,
    ownerToken: found.ownerToken,
    previous: found.previous,
    steps: new Map(found.steps),
    // What the found claim had itself found is not kept, or records would grow with every attempt.
    found: { ...found, ownerToken: undefined },
  };
}

export function lease(
  terms: Pick<ClaimRequest, 'leaseMs' | 'keepMs'>,
  now: number,
): Pick<MemoryRecord, 'leaseUntil' | 'expiresAt'> {
  return { leaseUntil: now + terms.leaseMs, expiresAt: now + terms.leaseMs + terms.keepMs };
}

export function view(record: MemoryRecord, now: number): RecordView {
  const { id, fingerprint, attempt, result } = record;
  return {
    id,
    fingerprint,
    attempt,
    state: stateOf(record),
    leaseRemainingMs: result === undefined ? remaining(record.leaseUntil, now) : 0,
    released: result === undefined && record.released,
    expiresInMs: remaining(record.expiresAt, now),
    ageMs: Math.floor(now - record.firstClaimedAt),
    steps: copyOfSteps(record.steps),
    ...(result === undefined ? {} : { result: copyOf(result) }),
  };
}

export function stateOf(record: MemoryRecord): RecordView['state'] {
  return record.result === undefined ? 'in_progress' : 'completed';
}

/** Rounded up: 0 says that it is over. */
export function remaining(until: number, now: number): number {
  return Math.max(0, Math.ceil(until - now));
}

export function copyOfSteps(steps: Steps): Map<string, Uint8Array> {
  return new Map([...steps].map(([name, value]) => [name, copyOf(value)]));
}

/** Not `slice`: on a Buffer that is a view of the same bytes. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
