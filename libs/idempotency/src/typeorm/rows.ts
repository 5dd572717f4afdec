import { RecordUnreadableError } from '../core/errors.js';
import type {
  ClaimOutcome,
  ClaimRequest,
  PreviousClaim,
  RecordView,
  Steps,
} from '../core/idempotency-storage.js';
import { readSteps } from './step-log.js';

/**
 * A row of the table, in terms that all databases share: the id as it was given, booleans, texts, bytes, seconds left. What
 * it holds is checked: somebody may have changed the table by hand.
 */
export type Row = Readonly<Record<string, unknown>>;

const PREVIOUS: readonly PreviousClaim[] = ['none', 'released', 'expired'];

/** @throws RecordUnreadableError when the row is none that the storage writes */
export function claimOutcome(row: Row, asked: ClaimRequest): ClaimOutcome {
  if (row['won'] === true) {
    const previous = PREVIOUS[wholeNumber(row, 'previous', 0)];
    if (previous === undefined) throw new RecordUnreadableError('what its claim found is unknown');
    return { kind: 'claimed', attempt: wholeNumber(row, 'attempt', 1), steps: stepsOf(row), previous };
  }
  const { fingerprint, leaseRemainingMs, released, expiresInMs, result } = coreOf(row);
  if (result !== undefined) return { kind: 'completed', fingerprint, result, expiresInMs };
  const leaseRanOut = leaseRemainingMs === 0 && !released;
  if (leaseRanOut && !asked.takeOver && fingerprint === asked.fingerprint)
    return { kind: 'abandoned', fingerprint };
  return { kind: 'in_progress', fingerprint, leaseRemainingMs };
}

/** @throws RecordUnreadableError when the row is none that the storage writes */
export function recordView(row: Row): RecordView {
  const { result, ...core } = coreOf(row);
  return {
    id: text(row, 'id'),
    state: result === undefined ? 'in_progress' : 'completed',
    ...core,
    ageMs: Math.max(0, Math.floor(numberOf(row, 'age_s') * 1000)),
    steps: stepsOf(row),
    ...(result === undefined ? {} : { result }),
  };
}

function coreOf(row: Row) {
  const state = wholeNumber(row, 'state', 0);
  const core = {
    fingerprint: text(row, 'fingerprint'),
    attempt: wholeNumber(row, 'attempt', 1),
    expiresInMs: remainingMs(row, 'expires_s'),
  };
  if (state === 0) {
    const released = row['released'] === true;
    // A lease that was given up is over, whatever its time says.
    const leaseRemainingMs = released ? 0 : remainingMs(row, 'lease_s');
    return { ...core, released, leaseRemainingMs, result: undefined };
  }
  if (state !== 1) throw new RecordUnreadableError(`its state is ${state}`);
  const result = bytesOrNull(row, 'result');
  if (result === null) throw new RecordUnreadableError('it is completed and has no result');
  return { ...core, released: false, leaseRemainingMs: 0, result };
}

function stepsOf(row: Row): Steps {
  return readSteps(bytesOrNull(row, 'steps'));
}

function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new RecordUnreadableError(`its ${column} is missing`);
  return value;
}

function wholeNumber(row: Row, column: string, least: number): number {
  const value = numberOf(row, column);
  if (!Number.isSafeInteger(value) || value < least)
    throw new RecordUnreadableError(`its ${column} is ${value}`);
  return value;
}

/** Rounded up: 0 says that it is over. */
function remainingMs(row: Row, column: string): number {
  return Math.max(0, Math.ceil(numberOf(row, column) * 1000));
}

/** The type parsers of `pg` are global, so an application's own may make strings or bigints of numbers. */
function numberOf(row: Row, column: string): number {
  const value = row[column];
  const number = value === null || value === undefined ? NaN : Number(value);
  if (Number.isNaN(number)) throw new RecordUnreadableError(`its ${column} is missing`);
  return number;
}

/** A plain array over the driver's own buffer, which nobody else holds. */
function bytesOrNull(row: Row, column: string): Uint8Array | null {
  const value = row[column];
  if (value === null || value === undefined) return null;
  if (!(value instanceof Uint8Array)) throw new RecordUnreadableError(`its ${column} is not binary`);
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}
