import assert from 'node:assert/strict';
import type { ClaimOutcome, IdempotencyStorage } from '../../core/idempotency-storage.js';
import type { ContractHarness } from './contract-case.js';
import { HOUR_MS, request } from './support.js';

const RACERS = 50;
/** Real servers interleave differently each time. */
const ROUNDS = 4;

/** Calls 50 times at the same moment, by turns over two instances. */
export async function race<T>(
  harness: ContractHarness,
  call: (storage: IdempotencyStorage, racer: number) => Promise<T>,
): Promise<readonly T[]> {
  const instances = [harness.storage, await harness.openPeer()] as const;
  return Promise.all(Array.from({ length: RACERS }, (_, racer) => call(instances[racer % 2 ? 1 : 0], racer)));
}

/** What must hold however two calls interleave. */
export async function inRounds(play: (round: number) => Promise<void>): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) await play(round);
}

/**
 * 50 racers claim a record that nobody holds: one wins; every other one sees the winner's fingerprint and a lease that
 * runs, never the record as it was before.
 */
export async function expectOneWinner(
  harness: ContractHarness,
  id: string,
  fingerprintOf: (racer: number) => string,
): Promise<Extract<ClaimOutcome, { kind: 'claimed' }>> {
  const outcomes = await race(harness, (storage, racer) =>
    storage.claim(id, request({ fingerprint: fingerprintOf(racer), leaseMs: HOUR_MS })),
  );
  const winners = outcomes.flatMap((outcome, racer) =>
    outcome.kind === 'claimed' ? [{ outcome, racer }] : [],
  );
  const [winner] = winners;
  assert.ok(winner !== undefined && winners.length === 1, `${winners.length} racers won`);
  for (const outcome of outcomes) {
    if (outcome.kind === 'claimed') continue;
    assert.equal(outcome.kind, 'in_progress', 'a loser sees another state than the winner made');
    assert.equal(
      outcome.fingerprint,
      fingerprintOf(winner.racer),
      "a loser sees another fingerprint than the winner's",
    );
    assert.ok(outcome.leaseRemainingMs > 0, 'a loser sees the lease that had ended');
  }
  return winner.outcome;
}
