import { Deferred } from './bounded.js';
import type { ReleaseOptions } from './idempotency-storage.js';
import type { StoredResult } from './result.js';
import type { RunSteps } from './run-steps.js';
import type { CompleteOutcome, ReleaseOutcome } from './run-terms.js';
import type { Run } from './run.js';
import type { StorageTransaction, TransactionManager } from './transaction.js';

/** What became of an outcome that was to be kept: stored, or not, or not even to be said. */
export type KeepOutcome =
  | CompleteOutcome
  /** Its writes are undone, so that it must not be answered: whoever asks again gets the truth. */
  | 'uncommitted';

/** What became of a final error. */
export type RefuseOutcome =
  | CompleteOutcome
  /** Something that it must undo first is not undone; a retry goes on with that. */
  | 'not undone';

/**
 * What a run's handler does, from its beginning to the end of the run: its transaction, its steps, and how both end with the
 * record. Whoever sees the handler and its answer decides; this carries it out, in an order that survives a crash at any
 * point.
 */
export class Work {
  /** Resolved when the handler that has begun has settled; undefined before the first has. */
  private running: Deferred<void> | undefined;
  private transactionState: 'none' | 'open' | 'undone' = 'none';
  private abandoned = false;

  constructor(
    readonly run: Run,
    readonly steps: RunSteps,
    private readonly transaction?: StorageTransaction,
  ) {
    // Whoever owns the record now is not to wait for locks of a handler whose writes will not be committed.
    if (transaction !== undefined) void run.lostForGood.then(() => this.abandon());
  }

  /** The handler has begun in a transaction: what it wrote is not there until that has committed. */
  get isTransactional(): boolean {
    return this.transactionState !== 'none';
  }

  /** Its transaction is rolled back, whatever becomes of the handler. */
  get isUndone(): boolean {
    return this.transactionState === 'undone';
  }

  /** Its handler will run in a transaction. */
  get hasTransaction(): boolean {
    return this.transaction !== undefined;
  }

  /** What the handler uses by hand, of the transaction as it is now; undefined without one. */
  get manager(): TransactionManager | undefined {
    return this.transaction?.manager;
  }

  /** Whether the database refused the handler for the sake of others, so that trying again helps. */
  isConflict(error: unknown): boolean {
    return this.isTransactional && this.transaction?.isConflict(error) === true;
  }

  /** Runs what may use the database for the handler: it joins the transaction once that has begun. */
  enter<T>(fn: () => T): T {
    return this.transaction === undefined ? fn() : this.transaction.enter(fn);
  }

  /**
   * The handler is about to run; again, when an interceptor asks it once more after a throw. `false`: it has become too late,
   * because another run may own the record, or somebody has answered while it waited for a connection.
   *
   * @throws StorageUnavailableError when no transaction can be had
   */
  async begin(): Promise<boolean> {
    this.steps.restart();
    if (this.transaction !== undefined) {
      await this.transaction.close();
      await this.transaction.begin();
      if (this.abandoned || !this.holdsLease()) {
        await this.transaction.close();
        return false;
      }
      this.transactionState = 'open';
    } else if (!this.holdsLease()) return false;
    this.running = new Deferred();
    return true;
  }

  /** The handler that had begun has returned or thrown. */
  settled(): void {
    this.running?.resolve();
  }

  /**
   * Somebody else has answered while the handler runs, or owns the record: what it has written is undone at once, and it can
   * write no more.
   */
  abandon(): void {
    this.abandoned = true;
    if (this.transactionState === 'open') void this.undoWrites();
  }

  /** The handler's effect is to last, and its outcome to be replayed. Never rejects. */
  async keep(result: StoredResult, ttlMs: number): Promise<KeepOutcome> {
    await this.ended();
    const { transaction } = this;
    if (transaction === undefined || !this.isTransactional) return this.run.complete(result, ttlMs);
    const kept =
      this.transactionState === 'open' ? await this.run.commit(result, ttlMs, transaction) : 'uncommitted';
    if (kept === 'recorded') await transaction.close();
    else await this.giveBack();
    return kept;
  }

  /**
   * The handler has ended in an error that is final: what it wrote is undone, then what its steps did, then the error is
   * recorded. Never rejects.
   *
   * @param error what later attempts need to say the same, should this one not come to the end of it
   */
  async refuse(result: StoredResult, ttlMs: number, error: () => Uint8Array): Promise<RefuseOutcome> {
    return (await this.undo(error)) === 'undone' ? this.run.complete(result, ttlMs) : 'not undone';
  }

  /** The same without the record, which stays open; what cannot be undone now is left to a retry. Never rejects. */
  async undo(error: () => Uint8Array): Promise<'undone' | 'not undone'> {
    await this.ended();
    await this.undoWrites();
    if ((await this.steps.undo(error)) === 'done') return 'undone';
    await this.run.release({ forget: false });
    return 'not undone';
  }

  /**
   * Nothing is to be recorded, and what the handler wrote is undone. Never rejects.
   *
   * @param options `forget`: only as long as no handler has begun: what it did, and its steps, are not forgotten although a second
   * try could not begin
   */
  async giveUp({ forget }: ReleaseOptions): Promise<ReleaseOutcome> {
    await this.ended();
    await this.undoWrites();
    return this.run.release({ forget: forget && this.running === undefined });
  }

  /** What the handler wrote is to last although nothing is recorded, as `record` says. Never rejects. */
  async letGo(): Promise<ReleaseOutcome | 'uncommitted'> {
    await this.ended();
    const committed = await this.commitAlone();
    const released = await this.run.release({ forget: false });
    return committed ? released : 'uncommitted';
  }

  /**
   * Steps are through, and a handler that holds a connection. Any other may wait for its own answer, or work on after it, and
   * whoever decided did not wait for it either.
   */
  private async ended(): Promise<void> {
    if (this.isTransactional) await this.running?.promise;
    await this.steps.settled();
  }

  /** A process that stood still has not heard of the loss yet; its own clock knows. */
  private holdsLease(): boolean {
    return !this.run.signal.aborted && this.run.leaseConfirmed();
  }

  private async commitAlone(): Promise<boolean> {
    if (this.transaction === undefined || this.transactionState === 'none') return true;
    try {
      // No record is written that would tell whose it is.
      const mayCommit = this.transactionState === 'open' && (await this.run.isOwner());
      if (mayCommit) await this.transaction.commit();
      return mayCommit;
    } catch {
      // Whoever asks again finds no record and runs again, which is what was wanted.
      return false;
    } finally {
      await this.undoWrites();
    }
  }

  private async giveBack(): Promise<void> {
    // It may hang as the commit did: the client is not to wait for it.
    void this.undoWrites();
    await this.run.release({ forget: false });
  }

  private async undoWrites(): Promise<void> {
    if (this.transaction === undefined || this.transactionState === 'none') return;
    this.transactionState = 'undone';
    await this.transaction.rollback();
    await this.running?.promise;
    await this.transaction.close();
  }
}
