import assert from 'node:assert/strict';
import type { ContractCase } from './contract-case.js';
import { expectOneWinner, inRounds } from './race.js';
import {
  bytes,
  expectAge,
  expectApplied,
  expectBytes,
  expectKind,
  expectRemaining,
  HOUR_MS,
  mustClaim,
  mustClaimAndComplete,
  mustClaimAndExpire,
  mustClaimAndRelease,
  mustGet,
  outlast,
  request,
  SHORT_MS,
  stopwatch,
  textsOf,
  uniqueId,
} from './support.js';

export const claimCases: readonly ContractCase[] = [
  {
    name: 'claim: the first claim of an id is attempt 1 and finds nothing',
    async run({ storage }) {
      const { attempt, previous, steps } = await mustClaim(storage, uniqueId('claim'));
      assert.equal(attempt, 1);
      assert.equal(previous, 'none');
      assert.equal(steps.size, 0);
    },
  },
  {
    name: 'claim: of 50 racers over two instances one wins, and the losers see its fingerprint',
    async run(harness) {
      await inRounds(async () => {
        const { attempt, previous } = await expectOneWinner(
          harness,
          uniqueId('race'),
          (racer) => `fp-${racer}`,
        );
        assert.equal(attempt, 1);
        assert.equal(previous, 'none');
      });
    },
  },
  {
    name: 'claim: another instance sees a running claim, its fingerprint and what is left of its lease',
    async run(harness) {
      const id = uniqueId('claim');
      const watch = stopwatch();
      await mustClaim(harness.storage, id, { fingerprint: 'first' });
      const peer = await harness.openPeer();
      await harness.advance(400);
      const seen = expectKind(await peer.claim(id, request({ fingerprint: 'first' })), 'in_progress');
      assert.equal(seen.fingerprint, 'first');
      expectRemaining(seen.leaseRemainingMs, HOUR_MS, watch, 400);
    },
  },
  {
    // A storage that reads the time once, at its start or at the start of a transaction, gives leases that are over early.
    name: 'claim: after a quiet time the lease counts from now',
    async run(harness) {
      const { storage } = harness;
      await mustClaim(storage, uniqueId('before'));
      await harness.advance(400);
      const id = uniqueId('after');
      const watch = stopwatch();
      await mustClaim(storage, id);
      const { leaseRemainingMs, ageMs } = await mustGet(await harness.openPeer(), id);
      expectRemaining(leaseRemainingMs, HOUR_MS, watch);
      expectAge(ageMs, 0, watch);
    },
  },
  {
    name: 'claim: the same owner token is claimed again with the same attempt, previous and steps',
    async run(harness) {
      const { storage } = harness;
      for (const previous of ['none', 'released', 'expired'] as const) {
        const id = uniqueId(previous);
        if (previous === 'released') await mustClaimAndRelease(storage, id);
        if (previous === 'expired') await mustClaimAndExpire(harness, id);
        const asked = request();
        const first = expectKind(await storage.claim(id, asked), 'claimed');
        await expectApplied(storage.saveStep({ id, ownerToken: asked.ownerToken }, 'charge', bytes('42')));
        const again = expectKind(await (await harness.openPeer()).claim(id, asked), 'claimed');
        assert.equal(again.attempt, first.attempt);
        assert.equal(again.previous, previous);
        assert.deepEqual(textsOf(again.steps), [['charge', '42']]);
        assert.equal((await mustGet(storage, id)).attempt, first.attempt);
      }
    },
  },
  {
    name: 'claim: the same owner token is claimed again after its lease ended, if nobody took over',
    async run(harness) {
      const id = uniqueId('again');
      const { claim } = await mustClaimAndExpire(harness, id);
      const again = await harness.storage.claim(id, request({ ownerToken: claim.ownerToken }));
      assert.equal(expectKind(again, 'claimed').attempt, 1);
      assert.equal(expectKind(again, 'claimed').previous, 'none');
    },
  },
  {
    name: 'claim: claiming again with the same owner token starts the lease anew',
    async run(harness) {
      const { storage } = harness;
      const id = uniqueId('anew');
      const asked = request();
      await storage.claim(id, asked);
      await harness.advance(400);
      const watch = stopwatch();
      await storage.claim(id, asked);
      expectRemaining((await mustGet(storage, id)).leaseRemainingMs, HOUR_MS, watch);
    },
  },
  {
    name: 'claim: a past owner is not claimed again once another claim took over',
    async run(harness) {
      const { storage } = harness;
      const id = uniqueId('past');
      const { claim } = await mustClaimAndExpire(harness, id);
      await mustClaim(storage, id);
      expectKind(await storage.claim(id, request({ ownerToken: claim.ownerToken })), 'in_progress');
    },
  },
  {
    name: 'claim: another fingerprint is told of the running one and changes nothing',
    async run({ storage }) {
      const id = uniqueId('other');
      const { claim } = await mustClaim(storage, id, { fingerprint: 'first' });
      const other = expectKind(await storage.claim(id, request({ fingerprint: 'second' })), 'in_progress');
      assert.equal(other.fingerprint, 'first');
      assert.ok(other.leaseRemainingMs > 0);
      await expectApplied(storage.complete(claim, bytes('done'), HOUR_MS));
    },
  },
  {
    name: 'claim: another fingerprint never claims a record whose lease ended',
    async run(harness) {
      const { storage } = harness;
      for (const previous of ['released', 'expired'] as const) {
        const id = uniqueId(previous);
        if (previous === 'released') await mustClaimAndRelease(storage, id);
        else await mustClaimAndExpire(harness, id);
        for (const takeOver of [true, false]) {
          const outcome = await storage.claim(id, request({ fingerprint: 'other', takeOver }));
          const seen = expectKind(outcome, 'in_progress');
          assert.equal(seen.fingerprint, 'fp');
          assert.equal(seen.leaseRemainingMs, 0);
        }
        const next = await mustClaim(storage, id);
        assert.equal(next.attempt, 2);
        assert.equal(next.previous, previous);
      }
    },
  },
  {
    name: 'claim: a completed record is answered to every claim, with the fingerprint that it was made with',
    async run({ storage }) {
      const id = uniqueId('completed');
      const { claim } = await mustClaimAndComplete(storage, id, 'done');
      const asked = [
        request(),
        request({ fingerprint: 'other' }),
        request({ takeOver: false }),
        request({ ownerToken: claim.ownerToken }),
      ];
      for (const one of asked) {
        const seen = expectKind(await storage.claim(id, one), 'completed');
        assert.equal(seen.fingerprint, 'fp');
        expectBytes(seen.result, bytes('done'));
      }
    },
  },
  {
    name: 'claim: attempts count up through releases and expired leases, and previous tells which it was',
    async run(harness) {
      const { storage } = harness;
      const id = uniqueId('count');
      const first = await mustClaim(storage, id);
      await expectApplied(storage.release(first.claim, { forget: false }));
      const second = await mustClaimAndExpire(harness, id);
      const third = await mustClaim(await harness.openPeer(), id, { leaseMs: SHORT_MS });
      await expectApplied(storage.release(third.claim, { forget: false }));
      await outlast(harness, SHORT_MS);
      const fourth = await mustClaim(storage, id);
      const attempts = [first, second, third, fourth];
      assert.deepEqual(
        attempts.map(({ attempt, previous }) => [attempt, previous]),
        [
          [1, 'none'],
          [2, 'released'],
          [3, 'expired'],
          [4, 'released'],
        ],
      );
    },
  },
];
