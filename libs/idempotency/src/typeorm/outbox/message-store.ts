import type { Row } from '../rows.js';
import type { Ask } from './connections.js';
import type { ClaimRequest, Failure, MessageRow } from './outbox-table.js';

/**
 * What an outbox says to one kind of database. A message is waiting while `delivered_at` and `died_at` are null, dead while
 * `died_at` alone is set, undelivered in either case. `due_at` is both the time of its next try and the end of the lease of
 * `owner`, so nobody takes it before. The head of an aggregate is its undelivered message of the lowest `sequence`.
 *
 * Rows have, as far as they are asked for: `sequence`, `id`, `aggregate`, `pattern`, `payload`, `headers`,
 * `correlation_id`, `attempts`, `error`, `added_ms`, `died_ms`, `held_back`.
 */
export interface MessageStore {
  /** Statements that insert the rows in their order. */
  insert(rows: readonly MessageRow[]): Iterable<{ readonly sql: string; readonly values: unknown[] }>;
  claim(ask: Ask, request: ClaimRequest): Promise<readonly Row[]>;
  delivered(ask: Ask, owner: string, sequences: readonly string[]): Promise<number>;
  failed(ask: Ask, owner: string, sequence: string, failure: Failure): Promise<boolean>;
  release(ask: Ask, owner: string): Promise<void>;
  /** One row with `due_in_ms`, or null. */
  nextDue(ask: Ask): Promise<Row | undefined>;
  purge(ask: Ask, keepMs: number, limit: number): Promise<number>;
  /** One row with `waiting`, `held_back`, `dead` and `oldest_ms`. */
  counts(ask: Ask): Promise<Row | undefined>;
  /** One row with `undelivered`. */
  undelivered(ask: Ask, aggregate: string): Promise<Row | undefined>;
  deadLetters(ask: Ask, limit: number): Promise<readonly Row[]>;
  decide(ask: Ask, id: string, decision: 'redeliver' | 'discard'): Promise<boolean>;
}
