import assert from 'node:assert/strict';
import type { ContractCase, ContractHarness } from './contract-case.js';
import {
  bytes,
  expectAbsent,
  expectApplied,
  expectResult,
  HOUR_MS,
  mustClaim,
  mustClaimAndComplete,
  mustClaimAndExpire,
  mustClaimAndRelease,
  mustGet,
  outlast,
  SHORT_MS,
  uniqueId,
} from './support.js';

const EXPIRED = 7;
/** More than any run of the contract leaves behind. */
const MANY = 10_000;

async function makeExpired(harness: ContractHarness): Promise<readonly string[]> {
  const ids = Array.from({ length: EXPIRED }, (_, index) => uniqueId(`expired-${index}`));
  // All claims first: a storage may remove expired records while it makes room for new ones.
  const owners = await Promise.all(ids.map((id) => mustClaim(harness.storage, id)));
  await Promise.all(
    owners.map(({ claim }) => expectApplied(harness.storage.complete(claim, bytes('done'), SHORT_MS))),
  );
  await outlast(harness, SHORT_MS);
  return ids;
}

export const purgeCases: readonly ContractCase[] = [
  {
    name: 'purge: removes only records past their keeping time',
    async run(harness) {
      const { storage } = harness;
      const running = await mustClaim(storage, uniqueId('running'), { keepMs: 1 });
      const released = await mustClaimAndRelease(storage, uniqueId('released'));
      const expired = await mustClaimAndExpire(harness, uniqueId('lease-over'));
      const completed = await mustClaimAndComplete(storage, uniqueId('completed'), 'done');
      const over = await makeExpired(harness);
      await storage.purgeExpired(MANY);
      for (const id of over) await expectAbsent(storage, id);
      for (const { claim } of [running, released, expired]) {
        assert.equal((await mustGet(storage, claim.id)).attempt, 1);
      }
      await expectResult(storage, completed.claim.id, bytes('done'));
      await expectApplied(storage.complete(running.claim, bytes('done'), HOUR_MS));
    },
  },
  {
    // A server that removes expired records by itself always answers 0.
    name: 'purge: removes no more than its limit at a time, answers how many, and comes to an end',
    async run(harness) {
      const { storage } = harness;
      for (let left = MANY; left > 0 && (await storage.purgeExpired(1000)) > 0; left -= 1);
      await makeExpired(harness);
      const counts: number[] = [];
      do counts.push(await storage.purgeExpired(3));
      while (counts.at(-1) !== 0 && counts.length < MANY);
      assert.ok(Math.max(...counts) <= 3, `a purge of at most 3 removed ${Math.max(...counts)}`);
      assert.equal(counts.at(-1), 0, 'there is always more to purge');
      const sum = counts.reduce((total, count) => total + count, 0);
      assert.ok(sum === 0 || sum >= EXPIRED, `${sum} of ${EXPIRED} expired records were purged`);
    },
  },
  {
    name: 'purge: two instances purge at once',
    async run(harness) {
      const peer = await harness.openPeer();
      const over = await makeExpired(harness);
      const alive = await mustClaim(harness.storage, uniqueId('alive'));
      const counts = await Promise.all(
        [harness.storage, peer, harness.storage, peer].map((instance) => instance.purgeExpired(MANY)),
      );
      for (const count of counts) assert.ok(Number.isInteger(count) && count >= 0);
      for (const id of over) await expectAbsent(peer, id);
      assert.equal((await mustGet(peer, alive.claim.id)).attempt, 1);
    },
  },
];
