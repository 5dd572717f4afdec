import assert from 'node:assert/strict';
import type { ContractCase } from './contract-case.js';
import { expectOneWinner, inRounds, race } from './race.js';
import {
  bytes,
  expectApplied,
  expectKind,
  HOUR_MS,
  mustClaim,
  mustClaimAndExpire,
  mustClaimAndRelease,
  mustGet,
  request,
  textsOf,
  uniqueId,
} from './support.js';

export const leaseCases: readonly ContractCase[] = [
  {
    name: 'lease: one that ran out is taken over with the next attempt and the kept steps',
    async run(harness) {
      const id = uniqueId('takeover');
      const { claim } = await mustClaimAndExpire(harness, id);
      await expectApplied(harness.storage.saveStep(claim, 'charge', bytes('42')));
      const next = await mustClaim(await harness.openPeer(), id);
      assert.equal(next.attempt, 2);
      assert.equal(next.previous, 'expired');
      assert.deepEqual(textsOf(next.steps), [['charge', '42']]);
    },
  },
  {
    name: 'lease: of 50 racers over one that ran out one wins, and the losers see it running',
    async run(harness) {
      await inRounds(async () => {
        const id = uniqueId('takeover-race');
        await mustClaimAndExpire(harness, id);
        const { attempt, previous } = await expectOneWinner(harness, id, () => 'fp');
        assert.equal(attempt, 2);
        assert.equal(previous, 'expired');
      });
    },
  },
  {
    name: 'lease: one that runs is not taken over',
    async run(harness) {
      const id = uniqueId('running');
      await mustClaim(harness.storage, id);
      await harness.advance(400);
      const outcomes = await race(harness, (storage) => storage.claim(id, request()));
      for (const outcome of outcomes) expectKind(outcome, 'in_progress');
    },
  },
  {
    name: 'lease: with takeOver false one that ran out is reported as abandoned and nothing changes',
    async run(harness) {
      const { storage } = harness;
      const id = uniqueId('abandoned');
      const { claim } = await mustClaimAndExpire(harness, id);
      const outcomes = await race(harness, (instance) => instance.claim(id, request({ takeOver: false })));
      for (const outcome of outcomes) assert.equal(expectKind(outcome, 'abandoned').fingerprint, 'fp');
      const { attempt, leaseRemainingMs, released } = await mustGet(storage, id);
      assert.deepEqual(
        { attempt, leaseRemainingMs, released },
        { attempt: 1, leaseRemainingMs: 0, released: false },
      );
      await expectApplied(storage.complete(claim, bytes('late'), HOUR_MS));
    },
  },
  {
    name: 'lease: with takeOver false a released record is claimed as usual',
    async run({ storage }) {
      const id = uniqueId('released');
      await mustClaimAndRelease(storage, id);
      const { attempt, previous } = await mustClaim(storage, id, { takeOver: false });
      assert.equal(attempt, 2);
      assert.equal(previous, 'released');
    },
  },
];
