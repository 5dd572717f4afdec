import assert from 'node:assert/strict';
import type { RecordView } from '../../core/idempotency-storage.js';
import type { ContractCase } from './contract-case.js';
import {
  bytes,
  expectAbsent,
  expectAge,
  expectApplied,
  expectBytes,
  expectRemaining,
  HOUR_MS,
  mustClaim,
  mustClaimAndComplete,
  mustClaimAndExpire,
  mustClaimAndRelease,
  mustGet,
  request,
  stopwatch,
  textsOf,
  uniqueId,
} from './support.js';

/** What does not depend on time. */
function facts({ id, state, fingerprint, attempt, released, steps, result }: RecordView) {
  return {
    id,
    state,
    fingerprint,
    attempt,
    released,
    steps: textsOf(steps),
    hasResult: result !== undefined,
  };
}

export const inspectionCases: readonly ContractCase[] = [
  {
    name: 'inspection: of an id that was never claimed there is nothing',
    async run({ storage }) {
      await expectAbsent(storage, uniqueId('never'));
    },
  },
  {
    name: 'inspection: a running record shows everything about it, on every instance',
    async run(harness) {
      const { storage } = harness;
      const watch = stopwatch();
      const { claim } = await mustClaim(storage, uniqueId('running'), {
        fingerprint: 'first',
        keepMs: 2 * HOUR_MS,
      });
      const { id } = claim;
      await expectApplied(storage.saveStep(claim, 'charge', bytes('42')));
      await harness.advance(400);
      for (const instance of [storage, await harness.openPeer()]) {
        const record = await mustGet(instance, id);
        assert.deepEqual(facts(record), {
          ...{ id, state: 'in_progress', fingerprint: 'first', attempt: 1, released: false },
          steps: [['charge', '42']],
          hasResult: false,
        });
        expectRemaining(record.leaseRemainingMs, HOUR_MS, watch, 400);
        expectRemaining(record.expiresInMs, 3 * HOUR_MS, watch, 400);
        expectAge(record.ageMs, 400, watch);
      }
    },
  },
  {
    name: 'inspection: a record whose lease ran out or was given up shows which of the two',
    async run(harness) {
      const { storage } = harness;
      const expired = await mustClaimAndExpire(harness, uniqueId('expired'));
      const released = await mustClaimAndRelease(storage, uniqueId('released'));
      for (const { id } of [expired.claim, released.claim]) {
        const record = await mustGet(storage, id);
        assert.deepEqual(facts(record), {
          ...{ id, state: 'in_progress', fingerprint: 'fp', attempt: 1, released: id === released.claim.id },
          steps: [],
          hasResult: false,
        });
        assert.equal(record.leaseRemainingMs, 0);
      }
    },
  },
  {
    name: 'inspection: a record that runs again after a release does not show as released',
    async run({ storage }) {
      const { claim } = await mustClaimAndRelease(storage, uniqueId('again'));
      await mustClaim(storage, claim.id);
      const { released, attempt, leaseRemainingMs } = await mustGet(storage, claim.id);
      assert.deepEqual([released, attempt], [false, 2]);
      assert.ok(leaseRemainingMs > 0);
    },
  },
  {
    name: 'inspection: a completed record shows its result, its attempt and when it was first claimed',
    async run(harness) {
      const { storage } = harness;
      const watch = stopwatch();
      const { claim } = await mustClaimAndRelease(storage, uniqueId('completed'));
      const { id } = claim;
      await harness.advance(400);
      await mustClaimAndComplete(storage, id, 'done');
      const record = await mustGet(storage, id);
      const { state, fingerprint, attempt, released, leaseRemainingMs } = record;
      assert.deepEqual(
        { id: record.id, state, fingerprint, attempt, released, leaseRemainingMs },
        { id, state: 'completed', fingerprint: 'fp', attempt: 2, released: false, leaseRemainingMs: 0 },
      );
      expectBytes(record.result, bytes('done'));
      expectAge(record.ageMs, 400, watch);
      expectRemaining(record.expiresInMs, HOUR_MS, watch);
    },
  },
  {
    name: 'inspection: forget removes a record in every state, and says whether there was one',
    async run(harness) {
      const { storage } = harness;
      const records = [
        await mustClaim(storage, uniqueId('running')),
        await mustClaimAndRelease(storage, uniqueId('released')),
        await mustClaimAndExpire(harness, uniqueId('expired')),
        await mustClaimAndComplete(storage, uniqueId('completed'), 'done'),
      ];
      const peer = await harness.openPeer();
      for (const { claim } of records) {
        assert.equal(await peer.forget(claim.id), true);
        assert.equal(await storage.forget(claim.id), false);
        await expectAbsent(storage, claim.id);
        const next = await mustClaim(storage, claim.id, { fingerprint: 'other' });
        assert.deepEqual([next.attempt, next.previous, next.steps.size], [1, 'none', 0]);
      }
    },
  },
  {
    name: 'inspection: looking at a record changes nothing',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaimAndExpire(harness, uniqueId('look'));
      await mustGet(storage, claim.id);
      await storage.claim(claim.id, request({ fingerprint: 'other' }));
      const next = await mustClaim(storage, claim.id);
      assert.deepEqual([next.attempt, next.previous], [2, 'expired']);
    },
  },
];
