import type { IdempotencyStorage } from '../../core/idempotency-storage.js';

/** What a storage's own test lends the contract: two ways to the same data, and time that passes. */
export interface ContractHarness {
  /** Started and usable. May hold other records: every clause makes ids of its own. */
  readonly storage: IdempotencyStorage;

  /**
   * A second instance over the same data, with a connection of its own, as another process would have. The harness
   * stops it after the clause. May give the same one again.
   */
  openPeer(): Promise<IdempotencyStorage>;

  /** Lets `ms` pass on the storage's clock: moves a fake one, or waits (at most half a second at a time). */
  advance(ms: number): Promise<void>;
}

/**
 * One promise of `IdempotencyStorage`, checked with `node:assert` alone, so that any runner can run it:
 *
 *     for (const clause of storageContract) it(clause.name, () => clause.run(harness));
 */
export interface ContractCase {
  /** A sentence that starts with its topic, for example `complete: a past owner changes nothing`. */
  readonly name: string;
  run(harness: ContractHarness): Promise<void>;
}
