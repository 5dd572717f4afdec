import assert from 'node:assert/strict';
import type { ContractCase } from './contract-case.js';
import { inRounds } from './race.js';
import {
  bytes,
  expectAbsent,
  expectApplied,
  expectBytes,
  expectKind,
  expectLost,
  expectRemaining,
  expectResult,
  HOUR_MS,
  mustClaim,
  mustClaimAndComplete,
  mustClaimAndExpire,
  mustClaimAndRelease,
  mustGet,
  request,
  stopwatch,
  uniqueId,
} from './support.js';

export const completeCases: readonly ContractCase[] = [
  {
    name: 'complete: the result is replayed on every instance, with what is left of its ttl',
    async run(harness) {
      const id = uniqueId('replay');
      const { claim } = await mustClaim(harness.storage, id);
      const watch = stopwatch();
      await expectApplied(harness.storage.complete(claim, bytes('{"id":1}'), 5 * HOUR_MS));
      for (const instance of [harness.storage, await harness.openPeer()]) {
        const replay = expectKind(await instance.claim(id, request()), 'completed');
        expectBytes(replay.result, bytes('{"id":1}'));
        expectRemaining(replay.expiresInMs, 5 * HOUR_MS, watch);
      }
    },
  },
  {
    name: 'complete: the fingerprint stays, so that a retry is still compared',
    async run(harness) {
      const { storage } = harness;
      const id = uniqueId('compared');
      await mustClaimAndExpire(harness, id, { fingerprint: 'first' });
      const { claim } = await mustClaim(storage, id, { fingerprint: 'first' });
      await expectApplied(storage.complete(claim, bytes('done'), HOUR_MS));
      const replay = expectKind(await storage.claim(id, request({ fingerprint: 'second' })), 'completed');
      assert.equal(replay.fingerprint, 'first');
      assert.equal((await mustGet(storage, id)).fingerprint, 'first');
    },
  },
  {
    name: 'complete: the owner token decides, not the time',
    async run(harness) {
      const { claim } = await mustClaimAndExpire(harness, uniqueId('late'));
      await expectApplied(harness.storage.complete(claim, bytes('late'), HOUR_MS));
      await expectResult(harness.storage, claim.id, bytes('late'));
    },
  },
  {
    name: 'complete: a past owner changes nothing',
    async run(harness) {
      const { storage } = harness;
      const past = await mustClaimAndExpire(harness, uniqueId('past'));
      const { id } = past.claim;
      const owner = await mustClaim(storage, id);
      await expectLost(storage.complete(past.claim, bytes('past'), HOUR_MS));
      const running = await mustGet(storage, id);
      assert.equal(running.state, 'in_progress');
      assert.equal(running.attempt, 2);
      await expectApplied(storage.complete(owner.claim, bytes('owner'), HOUR_MS));
      await expectLost(storage.complete(past.claim, bytes('past'), HOUR_MS));
      await expectResult(await harness.openPeer(), id, bytes('owner'));
    },
  },
  {
    name: 'complete: again by the same owner is applied again',
    async run(harness) {
      const id = uniqueId('again');
      const { claim } = await mustClaimAndComplete(harness.storage, id, 'done');
      await expectApplied((await harness.openPeer()).complete(claim, bytes('done'), HOUR_MS));
      await expectResult(harness.storage, id, bytes('done'));
    },
  },
  {
    name: 'complete: a claim that was given up completes nothing',
    async run({ storage }) {
      const { claim } = await mustClaimAndRelease(storage, uniqueId('given-up'));
      await expectLost(storage.complete(claim, bytes('done'), HOUR_MS));
      assert.equal((await mustClaim(storage, claim.id)).attempt, 2);
    },
  },
  {
    name: 'complete: a record that is gone is lost and does not come back',
    async run({ storage }) {
      const { claim } = await mustClaim(storage, uniqueId('gone'));
      await storage.forget(claim.id);
      await expectLost(storage.complete(claim, bytes('done'), HOUR_MS));
      await expectAbsent(storage, claim.id);
      const never = { id: uniqueId('never'), ownerToken: claim.ownerToken };
      await expectLost(storage.complete(never, bytes('done'), HOUR_MS));
      await expectAbsent(storage, never.id);
    },
  },
  {
    name: 'complete: against a takeover at the same moment exactly one wins',
    async run(harness) {
      const { storage } = harness;
      const peer = await harness.openPeer();
      await inRounds(async () => {
        const { claim } = await mustClaimAndExpire(harness, uniqueId('against'));
        const [completed, taken] = await Promise.all([
          storage.complete(claim, bytes('late'), HOUR_MS),
          peer.claim(claim.id, request()),
        ]);
        assert.equal(taken.kind, completed === 'applied' ? 'completed' : 'claimed');
        assert.equal(
          (await mustGet(peer, claim.id)).state,
          completed === 'applied' ? 'completed' : 'in_progress',
        );
      });
    },
  },
];
