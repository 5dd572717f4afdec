import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type {
  Claim,
  ClaimOutcome,
  ClaimRequest,
  IdempotencyStorage,
  OwnerOutcome,
  PreviousClaim,
  RecordQuery,
  RecordView,
  Steps,
} from '../../core/idempotency-storage.js';
import type { ContractHarness } from './contract-case.js';

/** For leases and keeping times that must still be alive when they are looked at, however slow the machine. */
export const HOUR_MS = 3_600_000;
/** For those that are waited out. No clause asserts that one of these is still alive. */
export const SHORT_MS = 150;
/** Between two clocks that count the same milliseconds: rounding, and timers that fire early. */
const TOLERANCE_MS = 50;

/** Unique across clauses, runs and processes that share one server. */
export function uniqueId(name: string): string {
  return `contract|${name}|${randomUUID()}`;
}

export function request(overrides: Partial<ClaimRequest> = {}): ClaimRequest {
  const defaults = { fingerprint: 'fp', leaseMs: HOUR_MS, keepMs: HOUR_MS, takeOver: true };
  return { ownerToken: randomUUID(), ...defaults, ...overrides };
}

export interface Won {
  readonly claim: Claim;
  readonly attempt: number;
  readonly steps: Steps;
  readonly previous: PreviousClaim;
}

/** Claims, and fails the clause when the claim is not won. */
export async function mustClaim(
  storage: IdempotencyStorage,
  id: string,
  overrides: Partial<ClaimRequest> = {},
): Promise<Won> {
  const asked = request(overrides);
  const { attempt, steps, previous } = expectKind(await storage.claim(id, asked), 'claimed');
  return { claim: { id, ownerToken: asked.ownerToken }, attempt, steps, previous };
}

/** A claim whose lease ran out, as after a crash. Nothing is purged: it is kept for an hour. */
export async function mustClaimAndExpire(
  harness: ContractHarness,
  id: string,
  overrides: Partial<ClaimRequest> = {},
): Promise<Won> {
  const won = await mustClaim(harness.storage, id, { leaseMs: SHORT_MS, ...overrides });
  await outlast(harness, SHORT_MS);
  return won;
}

/** A record that was given up and may run again. */
export async function mustClaimAndRelease(storage: IdempotencyStorage, id: string): Promise<Won> {
  const won = await mustClaim(storage, id);
  await expectApplied(storage.release(won.claim, { forget: false }));
  return won;
}

export async function mustClaimAndComplete(
  storage: IdempotencyStorage,
  id: string,
  text: string,
): Promise<Won> {
  const won = await mustClaim(storage, id);
  await expectApplied(storage.complete(won.claim, bytes(text), HOUR_MS));
  return won;
}

/** Lets `ms` pass and a little more. */
export async function outlast(harness: ContractHarness, ms: number): Promise<void> {
  await harness.advance(ms + TOLERANCE_MS);
}

export function expectKind<K extends ClaimOutcome['kind']>(
  outcome: ClaimOutcome,
  kind: K,
): Extract<ClaimOutcome, { readonly kind: K }> {
  assert.equal(outcome.kind, kind, `the claim is answered \`${outcome.kind}\` instead of \`${kind}\``);
  return outcome as Extract<ClaimOutcome, { readonly kind: K }>;
}

export async function expectApplied(call: Promise<OwnerOutcome>): Promise<void> {
  assert.equal(await call, 'applied');
}

export async function expectLost(call: Promise<OwnerOutcome>): Promise<void> {
  assert.equal(await call, 'lease_lost');
}

export async function mustGet(storage: IdempotencyStorage, id: string): Promise<RecordView> {
  const record = await storage.get(id);
  assert.ok(record !== undefined, 'there is no record');
  return record;
}

export async function expectAbsent(storage: IdempotencyStorage, id: string): Promise<void> {
  assert.equal(await storage.get(id), undefined, 'there is a record');
}

/** The stored result as every later claim gets it. */
export async function expectResult(
  storage: IdempotencyStorage,
  id: string,
  expected: Uint8Array,
): Promise<void> {
  const { result } = expectKind(await storage.claim(id, request()), 'completed');
  expectBytes(result, expected);
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function expectBytes(actual: Uint8Array | undefined, expected: Uint8Array): void {
  assert.ok(actual !== undefined, 'there are no bytes');
  assert.equal(actual.length, expected.length, 'the number of bytes differs');
  assert.ok(Buffer.compare(actual, expected) === 0, 'the bytes differ');
}

/** Steps whose values are texts, in their order. */
export function textsOf(steps: Steps): readonly (readonly [string, string])[] {
  return [...steps].map(([name, value]) => [name, Buffer.from(value).toString('utf8')] as const);
}

/** Real milliseconds since now: no more than that can have passed by itself on the storage's clock. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => performance.now() - start;
}

/**
 * A remaining time that was `expectedMs` when the watch was started and may have run down since. Bounded by what the
 * machine really took, so that a slow one fails nothing.
 */
export function expectRemaining(
  actualMs: number,
  expectedMs: number,
  watch: () => number,
  alsoPassedMs = 0,
): void {
  const least = expectedMs - watch() - alsoPassedMs - TOLERANCE_MS;
  const most = expectedMs - alsoPassedMs + TOLERANCE_MS;
  assert.ok(actualMs >= least && actualMs <= most, `${actualMs} ms are left, not ${least} to ${most}`);
}

/** An age that was `leastMs` or more when the watch was read last, and no more than what can have passed. */
export function expectAge(actualMs: number, leastMs: number, watch: () => number): void {
  const most = leastMs + watch() + TOLERANCE_MS;
  assert.ok(actualMs >= leastMs && actualMs <= most, `the age is ${actualMs} ms, not ${leastMs} to ${most}`);
}

export async function collect(
  storage: IdempotencyStorage,
  query: RecordQuery,
): Promise<readonly RecordView[]> {
  const records: RecordView[] = [];
  for await (const record of storage.find(query)) records.push(record);
  return records;
}

export async function idsFound(storage: IdempotencyStorage, query: RecordQuery): Promise<readonly string[]> {
  return (await collect(storage, query)).map(({ id }) => id).sort();
}
