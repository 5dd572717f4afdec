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
  readonly stepsFound: Steps;
  readonly result?: Uint8Array;
}

export const NO_STEPS: Steps = new Map();

export function newRun(
  id: string,
  request: ClaimRequest,
  found: MemoryRecord | undefined,
  now: number,
): MemoryRecord {
  const { ownerToken, fingerprint, keepMs } = request;
  const stepsFound = found?.steps ?? NO_STEPS;
  return {
    id,
    ownerToken,
    fingerprint,
    keepMs,
    stepsFound,
    attempt: (found?.attempt ?? 0) + 1,
    previous: found === undefined ? 'none' : found.released ? 'released' : 'expired',
    released: false,
    firstClaimedAt: found?.firstClaimedAt ?? now,
    steps: new Map(stepsFound),
    ...lease(request, now),
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
