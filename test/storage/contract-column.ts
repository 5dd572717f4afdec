import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { storageContract, type ContractHarness } from '../../libs/idempotency/src/testing/index.js';
import { readPage, writeColumn, type ContractColumn } from './contract-page.js';

/** Most of the contract is waiting, so several clauses run at a time. */
const AT_ONCE = 8;

/** A harness, and what ends it. */
export type OpenHarness = ContractHarness & { close?(): Promise<void> };

/**
 * Holds a storage to every clause of the contract, and its column in docs/contract.md to what came of it. One storage and
 * one peer serve all clauses; `openPeer` gives the same peer each time.
 */
export function describeContract(column: ContractColumn, open: () => Promise<OpenHarness>): void {
  describe(`the storage contract over ${column}`, () => {
    const outcomes = new Map<string, Promise<void>>();
    const held = new Set<string>();
    let harness: OpenHarness;
    beforeAll(async () => {
      harness = await open();
      start({ ...harness, advance: (ms) => inFull(harness, ms) }, outcomes);
    }, 60_000);
    afterAll(() => harness?.close?.(), 60_000);

    for (const { name } of storageContract) {
      it(
        name,
        async () => {
          await outcomes.get(name);
          held.add(name);
        },
        60_000,
      );
    }

    // UPDATE_DOCS=1 writes the column.
    it('is told truly by its column in docs/contract.md', () => {
      if (process.env['UPDATE_DOCS'] === '1') writeColumn(column, held);
      expect([...(readPage().get(column) ?? [])].sort()).toEqual([...held].sort());
    });
  });
}

/** A timer of node may be a fraction of a millisecond early. */
async function inFull(harness: ContractHarness, ms: number): Promise<void> {
  const until = performance.now() + ms;
  await harness.advance(ms);
  while (performance.now() < until) await sleep(1);
}

/** Clauses of `purge` look at all records, so they come one by one at the end. */
function start(harness: ContractHarness, outcomes: Map<string, Promise<void>>): void {
  const isPurge = ({ name }: { name: string }) => name.startsWith('purge:');
  const slots = Array.from({ length: AT_ONCE }, () => Promise.resolve());
  const after = (turn: Promise<unknown>, clause: (typeof storageContract)[number]) => {
    const outcome = turn.then(() => clause.run(harness));
    // Whoever asks for it hears of the failure; nobody may have asked yet.
    const settled = outcome.catch(() => {});
    outcomes.set(clause.name, outcome);
    return settled;
  };
  for (const [index, clause] of storageContract.filter((clause) => !isPurge(clause)).entries()) {
    const slot = index % AT_ONCE;
    slots[slot] = after(slots[slot] ?? Promise.resolve(), clause);
  }
  let last: Promise<unknown> = Promise.all(slots);
  for (const clause of storageContract.filter(isPurge)) last = after(last, clause);
}
