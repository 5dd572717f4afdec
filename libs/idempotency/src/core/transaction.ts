import type { Claim, OwnerOutcome } from './idempotency-storage.js';

/** What a handler gets as `op.manager`; the entry point of the storage that has transactions says what that is. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- filled in by declaration merging
export interface TransactionManager {}

/** How a storage lets a handler's writes and its record commit together, or neither of them. */
export interface StorageTransactions {
  /** Isolation levels that `transactional: { isolation }` may name, for example `SERIALIZABLE`. */
  readonly isolations: readonly string[];
  /** What an operator should know who uses them, about something that works but may hurt; said once, at boot. */
  readonly cautions?: readonly string[];
  /** Takes no connection yet. @param isolation one of `isolations`; the database's own default without it */
  open(isolation?: string): StorageTransaction;
  /** Runs `fn` outside of whatever handler's transaction the caller is in. */
  outside<T>(fn: () => T): T;
}

/**
 * One transaction around one run of a handler, in the database where its record is.
 *
 * `enter` … `begin` … `complete`, `commit` or `rollback`, `close`: in this order, except that `rollback` and `close` may be
 * called at any time and again. After `close`, `begin` starts a new one in the same scope: an interceptor has asked the handler
 * again. What was entered while the first one was open stays of that one, so that nothing it left running writes in the second.
 */
export interface StorageTransaction {
  /**
   * Runs `fn`; what it and everything it calls does in the database joins the transaction: from `begin` on, and as long as
   * that is open. Before `begin` it goes its ordinary way; after the end it fails with an error that says so.
   */
  enter<T>(fn: () => T): T;

  /** Runs `fn` outside of it: what that does in the database goes its ordinary way, whatever becomes of the handler. */
  leave<T>(fn: () => T): T;

  /** The handler is about to run. @throws StorageUnavailableError when no transaction can be had: then nothing has happened */
  begin(): Promise<void>;

  /** The same by hand, for the handler: TypeORM's EntityManager. Made for `begin` to come; fails before it. */
  readonly manager: TransactionManager;

  /** Stores the result in the transaction, only if the claim still owns the record. @throws what the database says */
  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome>;

  /** @throws what the database says; whether it is committed is known only if it does not throw */
  commit(): Promise<void>;

  /** Ends it without its writes. From now on whatever still runs in it fails with a clear error. Never rejects. */
  rollback(): Promise<void>;

  /** The handler has settled: the connection goes back. Rolls back what is still open. Never rejects. */
  close(): Promise<void>;

  /** Whether the database refused for the sake of others (serialization failure, deadlock), so that trying again helps. */
  isConflict(error: unknown): boolean;
}
