import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContractCase } from './contract-case.js';
import { bytes, expectApplied, HOUR_MS, mustClaim, outlast, SHORT_MS, uniqueId } from './support.js';

/** For a wait that never ends; far more than the time that it was given. */
const PATIENCE_MS = 3000;

/** Lets the time of a wait pass, and fails the clause when it does not end. */
async function expectEnd(wait: Promise<unknown>, passing: () => Promise<void>): Promise<void> {
  const ended = wait.then(() => 'ended');
  ended.catch(() => undefined);
  await passing();
  const impatient = new AbortController();
  const patience = sleep(PATIENCE_MS, 'still waiting', { signal: impatient.signal }).catch(() => undefined);
  try {
    assert.equal(await Promise.race([ended, patience]), 'ended');
  } finally {
    impatient.abort();
  }
}

export const waitingCases: readonly ContractCase[] = [
  {
    // Waiters poll where `waitForChange` is absent, so there is nothing to hold such a storage to.
    name: 'waiting: waitForChange ends at the latest when its time is up, whether something changed or not',
    async run(harness) {
      const { storage } = harness;
      if (storage.waitForChange === undefined) return;
      const { claim } = await mustClaim(storage, uniqueId('wait'));
      const waits = [
        storage.waitForChange(claim.id, SHORT_MS),
        storage.waitForChange(uniqueId('none'), SHORT_MS),
      ];
      await expectEnd(Promise.all(waits), () => outlast(harness, SHORT_MS));
      const changed = storage.waitForChange(claim.id, SHORT_MS);
      await expectEnd(changed, async () => {
        await expectApplied((await harness.openPeer()).complete(claim, bytes('done'), HOUR_MS));
        await outlast(harness, SHORT_MS);
      });
    },
  },
];
