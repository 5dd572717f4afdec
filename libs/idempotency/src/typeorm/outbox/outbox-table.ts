import type { QueryRunner } from 'typeorm';
import type { OutboxMessage } from './message.js';

/** What is inserted; the row gets its place in the order, `sequence`, from the database. */
export interface MessageRow {
  readonly id: string;
  readonly pattern: string;
  readonly aggregate: string | undefined;
  /** JSON, already written. */
  readonly payload: string;
  /** JSON, already written. */
  readonly headers: string;
  readonly correlationId: string;
}

export interface ClaimRequest {
  /** Says who has claimed: a new one for every claim. */
  readonly owner: string;
  /** How many messages at most. */
  readonly limit: number;
  /** How many of one aggregate at most, its oldest ones. */
  readonly perAggregate: number;
  readonly leaseMs: number;
}

export interface ClaimedMessage extends OutboxMessage {
  /** Place in the order; a number in text, as it may not fit a JavaScript number. */
  readonly sequence: string;
  /** Why it cannot be published; then `payload` is what is stored. */
  readonly unreadable?: string | undefined;
}

/** What becomes of a message that could not be published. */
export type Failure =
  | { readonly kind: 'retry'; readonly inMs: number; readonly error: string }
  | { readonly kind: 'dead'; readonly error: string };

/** How much is in the outbox. */
export interface OutboxCounts {
  /** Not delivered yet, dead ones apart. */
  readonly waiting: number;
  /** Of these: behind a dead letter of their aggregate. */
  readonly heldBack: number;
  readonly dead: number;
  /** Age of the oldest that is waiting, in milliseconds; 0 when none is. */
  readonly oldestMs: number;
}

/** A message that is given up until somebody decides. */
export interface DeadLetter extends Omit<OutboxMessage, 'attempt'> {
  readonly attempts: number;
  readonly error: string;
  readonly diedAt: Date;
  /** How many messages of its aggregate wait behind it. */
  readonly heldBack: number;
}

/**
 * The open table of one database. Everything but `insert` is said on a connection of its own, outside of any handler's
 * transaction; every change is atomic and judges time by the server's clock. Each rejects with StorageUnavailableError alone.
 */
export interface OutboxTable {
  /** In the transaction that `runner` has open. @throws what the database says */
  insert(runner: QueryRunner, rows: readonly MessageRow[]): Promise<void>;
  /**
   * Takes the oldest undelivered messages of aggregates whose head may be sent now, and those right behind them, for `leaseMs`; in the
   * order of `sequence`. No aggregate is ever in the hands of two owners whose leases last, and none is handed out whose head is
   * dead, waits for its next try, or is leased; as far as writers of an aggregate wait for each other, for else an older message may
   * come up behind one that is claimed. Passes over rows that are locked.
   */
  claim(request: ClaimRequest): Promise<readonly ClaimedMessage[]>;
  /** They are published. Answers how many of them still were the owner's. */
  delivered(owner: string, sequences: readonly string[]): Promise<number>;
  /** It could not be published; the lease on it ends, and on whatever else of its aggregate the owner has. `false`: not the owner's any more. */
  failed(owner: string, sequence: string, failure: Failure): Promise<boolean>;
  /** Gives back what the owner has still claimed, at once and untried. */
  release(owner: string): Promise<void>;
  /**
   * Until when nothing may be claimed, as far as the table tells, in milliseconds: the end of a lease or the time of a next try. 0:
   * something may be now. `undefined`: nothing is waiting but what is behind dead letters.
   */
  nextDueMs(): Promise<number | undefined>;
  /** Removes at most so many messages that were delivered at least `keepMs` ago, the oldest first. Answers how many. */
  purge(keepMs: number, limit: number): Promise<number>;
  counts(): Promise<OutboxCounts>;
  /** How many messages of an aggregate are not delivered. */
  undelivered(aggregate: string): Promise<number>;
  /** The oldest first. */
  deadLetters(limit: number): Promise<readonly DeadLetter[]>;
  /** `redeliver`: it is due now, with its attempts at 0, in its old place. `discard`: as if delivered. `false`: no such dead letter. */
  decide(id: string, decision: 'redeliver' | 'discard'): Promise<boolean>;
}
