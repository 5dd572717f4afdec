import assert from 'node:assert/strict';
import type { ContractCase } from './contract-case.js';
import { expectOneWinner, inRounds } from './race.js';
import {
  bytes,
  expectAbsent,
  expectApplied,
  expectKind,
  expectLost,
  expectResult,
  HOUR_MS,
  mustClaim,
  mustClaimAndComplete,
  mustClaimAndExpire,
  mustClaimAndRelease,
  mustGet,
  request,
  textsOf,
  uniqueId,
} from './support.js';

const EITHER_WAY = [{ forget: false }, { forget: true }] as const;

export const releaseCases: readonly ContractCase[] = [
  {
    name: 'release: a retry may run at once, as the next attempt and with the steps that were saved',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaim(storage, uniqueId('retry'));
      await expectApplied(storage.saveStep(claim, 'charge', bytes('42')));
      await expectApplied(storage.release(claim, { forget: false }));
      const next = await mustClaim(await harness.openPeer(), claim.id);
      assert.equal(next.attempt, 2);
      assert.equal(next.previous, 'released');
      assert.deepEqual(textsOf(next.steps), [['charge', '42']]);
    },
  },
  {
    name: 'release: of 50 racers over a released record one wins, and the losers see it running',
    async run(harness) {
      await inRounds(async () => {
        const id = uniqueId('released-race');
        await mustClaimAndRelease(harness.storage, id);
        const { attempt, previous } = await expectOneWinner(harness, id, () => 'fp');
        assert.equal(attempt, 2);
        assert.equal(previous, 'released');
      });
    },
  },
  {
    name: 'release: the owner token decides, not the time',
    async run(harness) {
      const { claim } = await mustClaimAndExpire(harness, uniqueId('late'));
      await expectApplied(harness.storage.release(claim, { forget: false }));
      assert.equal((await mustClaim(harness.storage, claim.id)).previous, 'released');
    },
  },
  {
    name: 'release: forgotten over nothing, the record is absent and another request may use the id',
    async run({ storage }) {
      const { claim } = await mustClaim(storage, uniqueId('none'));
      await expectApplied(storage.saveStep(claim, 'charge', bytes('42')));
      await expectApplied(storage.release(claim, { forget: true }));
      await expectAbsent(storage, claim.id);
      const next = await mustClaim(storage, claim.id, { fingerprint: 'corrected' });
      assert.equal(next.attempt, 1);
      assert.equal(next.previous, 'none');
      assert.equal(next.steps.size, 0);
    },
  },
  {
    name: 'release: forgotten over a released record, it is released again as it was',
    async run({ storage }) {
      const first = await mustClaim(storage, uniqueId('released'));
      await expectApplied(storage.saveStep(first.claim, 'charge', bytes('42')));
      await expectApplied(storage.release(first.claim, { forget: false }));
      const { id } = first.claim;
      const second = await mustClaim(storage, id);
      await expectApplied(storage.saveStep(second.claim, 'mail', bytes('43')));
      await expectApplied(storage.release(second.claim, { forget: true }));
      const { state, released, attempt, leaseRemainingMs } = await mustGet(storage, id);
      assert.deepEqual([state, released, attempt, leaseRemainingMs], ['in_progress', true, 1, 0]);
      const other = await storage.claim(id, request({ fingerprint: 'other' }));
      assert.equal(expectKind(other, 'in_progress').fingerprint, 'fp');
      const next = await mustClaim(storage, id, { takeOver: false });
      assert.equal(next.attempt, 2);
      assert.equal(next.previous, 'released');
      assert.deepEqual(textsOf(next.steps), [['charge', '42']]);
    },
  },
  {
    name: 'release: forgotten over an expired record, it is expired again as it was',
    async run(harness) {
      const { storage } = harness;
      const first = await mustClaimAndExpire(harness, uniqueId('expired'));
      await expectApplied(storage.saveStep(first.claim, 'charge', bytes('42')));
      const { id } = first.claim;
      const second = await mustClaim(storage, id);
      await expectApplied(storage.saveStep(second.claim, 'mail', bytes('43')));
      await expectApplied(storage.release(second.claim, { forget: true }));
      const { state, released, attempt, leaseRemainingMs } = await mustGet(storage, id);
      assert.deepEqual([state, released, attempt, leaseRemainingMs], ['in_progress', false, 1, 0]);
      const other = await storage.claim(id, request({ fingerprint: 'other' }));
      assert.equal(expectKind(other, 'in_progress').fingerprint, 'fp');
      expectKind(await storage.claim(id, request({ takeOver: false })), 'abandoned');
      const next = await mustClaim(storage, id);
      assert.equal(next.attempt, 2);
      assert.equal(next.previous, 'expired');
      assert.deepEqual(textsOf(next.steps), [['charge', '42']]);
    },
  },
  {
    name: 'release: forgotten over an expired record, whoever held that one may still complete it',
    async run(harness) {
      const { storage } = harness;
      const first = await mustClaimAndExpire(harness, uniqueId('alive'));
      const second = await mustClaim(storage, first.claim.id);
      await expectApplied(storage.release(second.claim, { forget: true }));
      await expectLost(storage.complete(second.claim, bytes('never happened'), HOUR_MS));
      await expectApplied(storage.complete(first.claim, bytes('late'), HOUR_MS));
      await expectResult(storage, first.claim.id, bytes('late'));
    },
  },
  {
    name: 'release: a past owner cannot release its successor',
    async run(harness) {
      const { storage } = harness;
      for (const options of EITHER_WAY) {
        const past = await mustClaimAndExpire(harness, uniqueId('past'));
        const owner = await mustClaim(storage, past.claim.id);
        await expectLost(storage.release(past.claim, options));
        const seen = expectKind(await storage.claim(past.claim.id, request()), 'in_progress');
        assert.ok(seen.leaseRemainingMs > 0);
        await expectApplied(storage.complete(owner.claim, bytes('done'), HOUR_MS));
      }
    },
  },
  {
    name: 'release: a completed record stays, also for its own owner',
    async run({ storage }) {
      for (const options of EITHER_WAY) {
        const { claim } = await mustClaimAndComplete(storage, uniqueId('completed'), 'done');
        await expectLost(storage.release(claim, options));
        await expectResult(storage, claim.id, bytes('done'));
      }
    },
  },
  {
    name: 'release: a record that is gone is lost and does not come back',
    async run({ storage }) {
      for (const options of EITHER_WAY) {
        const { claim } = await mustClaim(storage, uniqueId('gone'));
        await storage.forget(claim.id);
        await expectLost(storage.release(claim, options));
        await expectAbsent(storage, claim.id);
      }
    },
  },
  {
    name: 'release: against a takeover at the same moment the successor keeps the record',
    async run(harness) {
      const { storage } = harness;
      const peer = await harness.openPeer();
      await inRounds(async () => {
        const { claim } = await mustClaimAndExpire(harness, uniqueId('against'));
        const asked = request();
        const [released, taken] = await Promise.all([
          storage.release(claim, { forget: false }),
          peer.claim(claim.id, asked),
        ]);
        const { previous, attempt } = expectKind(taken, 'claimed');
        assert.equal(previous, released === 'applied' ? 'released' : 'expired');
        assert.equal(attempt, 2);
        const owner = { id: claim.id, ownerToken: asked.ownerToken };
        await expectApplied(storage.complete(owner, bytes('done'), HOUR_MS));
      });
    },
  },
];
