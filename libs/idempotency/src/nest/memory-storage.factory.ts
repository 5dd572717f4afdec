import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import { MemoryStorage } from '../core/memory-storage.js';
import { systemClock } from './system-ports.js';

/** Options of `memoryStorage()`. */
export interface MemoryStorageOptions {
  /** Most records that are kept; a new key beyond them is refused with 503. @default 100_000 */
  readonly maxRecords?: number;
}

/** Records in this process's memory: for development, tests and single processes that may forget on a restart. */
export function memoryStorage(options: MemoryStorageOptions = {}): IdempotencyStorage {
  const { maxRecords } = options;
  return new MemoryStorage({ clock: systemClock, ...(maxRecords === undefined ? {} : { maxRecords }) });
}
