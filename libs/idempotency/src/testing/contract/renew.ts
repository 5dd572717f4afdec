import assert from 'node:assert/strict';
import type { Claim, IdempotencyStorage, OwnerOutcome } from '../../core/idempotency-storage.js';
import type { ContractCase } from './contract-case.js';
import { inRounds } from './race.js';
import {
  bytes,
  expectKind,
  expectRemaining,
  expectResult,
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
  uniqueId,
} from './support.js';

async function renewOne(
  storage: IdempotencyStorage,
  claim: Claim,
  leaseMs: number,
): Promise<OwnerOutcome | undefined> {
  const outcomes = await storage.renew([{ claim, leaseMs }]);
  assert.equal(outcomes.length, 1);
  return outcomes[0];
}

export const renewCases: readonly ContractCase[] = [
  {
    name: 'renew: the new lease counts from now, and nobody takes over meanwhile',
    async run(harness) {
      const { storage } = harness;
      const id = uniqueId('renew');
      const { claim } = await mustClaim(storage, id);
      await harness.advance(400);
      const watch = stopwatch();
      assert.equal(await renewOne(storage, claim, 2 * HOUR_MS), 'applied');
      const peer = await harness.openPeer();
      expectRemaining((await mustGet(peer, id)).leaseRemainingMs, 2 * HOUR_MS, watch);
      expectKind(await peer.claim(id, request()), 'in_progress');
    },
  },
  {
    name: 'renew: an expired lease that nobody took over is renewed',
    async run(harness) {
      const id = uniqueId('late');
      const { claim } = await mustClaimAndExpire(harness, id);
      assert.equal(await renewOne(harness.storage, claim, HOUR_MS), 'applied');
      expectKind(await harness.storage.claim(id, request()), 'in_progress');
    },
  },
  {
    name: 'renew: a record outlives its renewed lease by keepMs',
    async run(harness) {
      const { storage } = harness;
      const id = uniqueId('keep');
      const { claim } = await mustClaim(storage, id, { keepMs: 2 * HOUR_MS });
      assert.equal(await renewOne(storage, claim, SHORT_MS), 'applied');
      const watch = stopwatch();
      assert.equal(await renewOne(storage, claim, SHORT_MS), 'applied');
      const { expiresInMs } = await mustGet(storage, id);
      expectRemaining(expiresInMs, SHORT_MS + 2 * HOUR_MS, watch);
      await outlast(harness, SHORT_MS);
      assert.equal((await mustClaim(storage, id)).attempt, 2);
    },
  },
  {
    name: 'renew: many claims in one call are answered in their order, lost ones among them',
    async run(harness) {
      const { storage } = harness;
      const own = await Promise.all(
        Array.from(
          { length: 12 },
          async (_, index) => (await mustClaim(storage, uniqueId(`own-${index}`))).claim,
        ),
      );
      const taken = await mustClaimAndExpire(harness, uniqueId('taken'));
      await mustClaim(storage, taken.claim.id);
      const forgotten = await mustClaim(storage, uniqueId('forgotten'));
      await storage.forget(forgotten.claim.id);
      const never = { id: uniqueId('never'), ownerToken: request().ownerToken };
      const claims = own.slice();
      claims.splice(9, 0, forgotten.claim);
      claims.splice(4, 0, never);
      claims.unshift(taken.claim);
      const watch = stopwatch();
      const outcomes = await storage.renew(claims.map((claim) => ({ claim, leaseMs: 2 * HOUR_MS })));
      assert.deepEqual(
        [...outcomes],
        claims.map((claim) => (own.includes(claim) ? 'applied' : 'lease_lost')),
      );
      for (const { id } of own)
        expectRemaining((await mustGet(storage, id)).leaseRemainingMs, 2 * HOUR_MS, watch);
      assert.equal(await storage.get(never.id), undefined);
      assert.equal(await storage.get(forgotten.claim.id), undefined);
    },
  },
  {
    name: 'renew: a past owner changes nothing',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaimAndExpire(harness, uniqueId('past'));
      await mustClaim(storage, claim.id);
      assert.equal(await renewOne(storage, claim, 5 * HOUR_MS), 'lease_lost');
      assert.ok((await mustGet(storage, claim.id)).leaseRemainingMs <= HOUR_MS);
    },
  },
  {
    name: 'renew: a claim that was given up is not brought back to life',
    async run({ storage }) {
      const { claim } = await mustClaimAndRelease(storage, uniqueId('given-up'));
      assert.equal(await renewOne(storage, claim, HOUR_MS), 'lease_lost');
      assert.equal((await mustClaim(storage, claim.id)).attempt, 2);
    },
  },
  {
    // The renewal that was on its way when the handler finished. What it is answered matters to nobody.
    name: 'renew: a completed record keeps its result and its time',
    async run({ storage }) {
      const id = uniqueId('completed');
      const watch = stopwatch();
      const { claim } = await mustClaimAndComplete(storage, id, 'done');
      await renewOne(storage, claim, 5 * HOUR_MS);
      await expectResult(storage, id, bytes('done'));
      expectRemaining((await mustGet(storage, id)).expiresInMs, HOUR_MS, watch);
    },
  },
  {
    name: 'renew: nothing to renew is answered by nothing',
    async run({ storage }) {
      assert.equal((await storage.renew([])).length, 0);
    },
  },
  {
    name: 'renew: a completion at the same moment holds up nobody else',
    async run(harness) {
      const { storage } = harness;
      const peer = await harness.openPeer();
      await inRounds(async () => {
        const ids = ['a', 'b', 'c', 'd', 'e'].map((name) => uniqueId(name));
        const claims = await Promise.all(ids.map(async (id) => (await mustClaim(storage, id)).claim));
        const ending = claims[2] as Claim;
        const [outcomes, completed] = await Promise.all([
          storage.renew(claims.map((claim) => ({ claim, leaseMs: HOUR_MS }))),
          peer.complete(ending, bytes('done'), HOUR_MS),
        ]);
        assert.equal(completed, 'applied');
        assert.equal(outcomes.length, claims.length);
        outcomes.forEach((outcome, index) => index === 2 || assert.equal(outcome, 'applied'));
        await expectResult(storage, ending.id, bytes('done'));
      });
    },
  },
  {
    // A renewal that finds the record locked by the takeover may still be answered `applied`: the lease was over anyway.
    name: 'renew: after a takeover at the same moment the record has one owner',
    async run(harness) {
      const { storage } = harness;
      const peer = await harness.openPeer();
      await inRounds(async () => {
        const { claim } = await mustClaimAndExpire(harness, uniqueId('against'));
        const asked = request();
        const [renewed, taken] = await Promise.all([
          renewOne(storage, claim, HOUR_MS),
          peer.claim(claim.id, asked),
        ]);
        const successor = { id: claim.id, ownerToken: asked.ownerToken };
        const owners = [await renewOne(storage, claim, HOUR_MS), await renewOne(storage, successor, HOUR_MS)];
        if (taken.kind === 'claimed') assert.deepEqual(owners, ['lease_lost', 'applied']);
        else {
          expectKind(taken, 'in_progress');
          assert.deepEqual([renewed, ...owners], ['applied', 'applied', 'lease_lost']);
        }
      });
    },
  },
];
