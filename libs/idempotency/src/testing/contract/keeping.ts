import assert from 'node:assert/strict';
import type { ContractCase } from './contract-case.js';
import { expectOneWinner, inRounds } from './race.js';
import {
  bytes,
  expectAbsent,
  expectAge,
  expectApplied,
  expectKind,
  expectRemaining,
  HOUR_MS,
  mustClaim,
  mustClaimAndExpire,
  mustGet,
  outlast,
  request,
  SHORT_MS,
  stopwatch,
  uniqueId,
} from './support.js';

/** Longer than the 24.8 days at which a 32-bit timer overflows. */
const YEAR_MS = 365 * 24 * HOUR_MS;
const MINUTE_MS = 60_000;

export const keepingCases: readonly ContractCase[] = [
  {
    name: 'keeping: the ttl counts from the completion, not from the claim',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaim(storage, uniqueId('ttl'));
      await harness.advance(400);
      const watch = stopwatch();
      await expectApplied(storage.complete(claim, bytes('done'), HOUR_MS));
      expectRemaining((await mustGet(storage, claim.id)).expiresInMs, HOUR_MS, watch);
      const replay = expectKind(await storage.claim(claim.id, request()), 'completed');
      expectRemaining(replay.expiresInMs, HOUR_MS, watch);
    },
  },
  {
    name: 'keeping: a result is kept for a year when the ttl says so',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaim(storage, uniqueId('year'));
      await expectApplied(storage.complete(claim, bytes('done'), YEAR_MS));
      await outlast(harness, SHORT_MS);
      const { expiresInMs } = expectKind(await storage.claim(claim.id, request()), 'completed');
      assert.ok(Math.abs(expiresInMs - YEAR_MS) < MINUTE_MS, `it expires in ${expiresInMs} ms`);
    },
  },
  {
    name: 'keeping: an unfinished record is kept for a year when keepMs says so',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaimAndExpire(harness, uniqueId('year'), { keepMs: YEAR_MS });
      const { expiresInMs } = await mustGet(storage, claim.id);
      assert.ok(Math.abs(expiresInMs - YEAR_MS) < MINUTE_MS, `it expires in ${expiresInMs} ms`);
      assert.equal((await mustClaim(storage, claim.id)).attempt, 2);
    },
  },
  {
    name: 'keeping: an unfinished record outlives its lease by keepMs',
    async run(harness) {
      const { storage } = harness;
      const watch = stopwatch();
      const { claim } = await mustClaim(storage, uniqueId('keep'), {
        leaseMs: SHORT_MS,
        keepMs: 2 * HOUR_MS,
      });
      expectRemaining((await mustGet(storage, claim.id)).expiresInMs, SHORT_MS + 2 * HOUR_MS, watch);
      await outlast(harness, SHORT_MS);
      assert.equal((await mustGet(storage, claim.id)).attempt, 1);
    },
  },
  {
    name: 'keeping: a released record stays for keepMs from its release',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaim(storage, uniqueId('released'), { keepMs: 2 * HOUR_MS });
      await harness.advance(400);
      const watch = stopwatch();
      await expectApplied(storage.release(claim, { forget: false }));
      expectRemaining((await mustGet(storage, claim.id)).expiresInMs, 2 * HOUR_MS, watch);
    },
  },
  {
    name: 'keeping: a result past its ttl is absent before it is purged',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaim(storage, uniqueId('over'));
      await expectApplied(storage.saveStep(claim, 'charge', bytes('42')));
      await expectApplied(storage.complete(claim, bytes('done'), SHORT_MS));
      await outlast(harness, SHORT_MS);
      await expectAbsent(storage, claim.id);
      const next = await mustClaim(storage, claim.id, { fingerprint: 'other' });
      assert.equal(next.attempt, 1);
      assert.equal(next.previous, 'none');
      assert.equal(next.steps.size, 0);
    },
  },
  {
    name: 'keeping: an unfinished record past its keeping time is absent before it is purged',
    async run(harness) {
      const { storage } = harness;
      for (const ending of ['expires', 'released'] as const) {
        const id = uniqueId(ending);
        const leaseMs = ending === 'expires' ? SHORT_MS : HOUR_MS;
        const { claim } = await mustClaim(storage, id, { leaseMs, keepMs: SHORT_MS });
        if (ending === 'released') {
          await expectApplied(storage.saveStep(claim, 'charge', bytes('42')));
          await expectApplied(storage.release(claim, { forget: false }));
        }
        await outlast(harness, 2 * SHORT_MS);
        await expectAbsent(storage, id);
        const next = await mustClaim(storage, id, { fingerprint: 'other', takeOver: false });
        assert.equal(next.attempt, 1);
        assert.equal(next.previous, 'none');
        assert.equal(next.steps.size, 0);
      }
    },
  },
  {
    name: 'keeping: a record past its keeping time starts a new life, with a new age',
    async run(harness) {
      const { storage } = harness;
      const { claim } = await mustClaim(storage, uniqueId('life'), { leaseMs: SHORT_MS, keepMs: 1 });
      await outlast(harness, 2 * SHORT_MS);
      const watch = stopwatch();
      const next = await mustClaim(storage, claim.id);
      const { ageMs, released, attempt } = await mustGet(storage, claim.id);
      assert.deepEqual([released, attempt], [false, 1]);
      expectAge(ageMs, 0, watch);
      await expectApplied(storage.release(next.claim, { forget: true }));
      await expectAbsent(storage, claim.id);
    },
  },
  {
    name: 'keeping: of 50 racers over a record past its keeping time one wins, and the losers see it running',
    async run(harness) {
      const { storage } = harness;
      await inRounds(async (round) => {
        const { claim } = await mustClaim(storage, uniqueId('over-race'), { keepMs: SHORT_MS });
        if (round % 2 === 0) await expectApplied(storage.complete(claim, bytes('done'), SHORT_MS));
        else await expectApplied(storage.release(claim, { forget: false }));
        await outlast(harness, SHORT_MS);
        const { attempt, previous } = await expectOneWinner(harness, claim.id, (racer) => `fp-${racer}`);
        assert.equal(attempt, 1);
        assert.equal(previous, 'none');
      });
    },
  },
];
