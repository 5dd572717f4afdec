import type { SimpleStorage } from '../simple-storage.js';

/** A storage with one planted fault, and the clauses of the contract that must catch it. */
export interface BrokenStorage {
  /** What it does wrong, as a sentence. */
  readonly fault: string;
  readonly Storage: typeof SimpleStorage;
  readonly caughtBy: readonly string[];
}

export function broken(
  fault: string,
  caughtBy: readonly string[],
  Storage: typeof SimpleStorage,
): BrokenStorage {
  return { fault, Storage, caughtBy };
}

/** The gap between a read and a write in which others get their turn. */
export async function gap(): Promise<void> {
  await Promise.resolve();
}
