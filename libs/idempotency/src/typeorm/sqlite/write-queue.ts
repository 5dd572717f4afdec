import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

export interface Transactions {
  /** Takes the write lock. @throws what `isBusy` knows when somebody else has it */
  begin(): void;
  commit(): void;
  rollback(): void;
  /** False when the database has rolled back by itself. */
  isOpen(): boolean;
  isBusy(error: unknown): boolean;
}

interface Job {
  readonly work: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly deadline: number;
  /** It was in a transaction that failed as a whole, and is tried again by itself. */
  readonly alone: boolean;
}

/** How long a call waits for somebody else who writes. */
const WAIT_MS = 5000;
/** After so long a transaction takes up nothing more: until it ends nothing else runs in this process. */
const TURN_MS = 10;
/** Between two tries while somebody else writes. */
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 8;
/**
 * SQLite hands the lock to nobody: whoever waits must ask when it happens to be free. So a process that has lately met
 * another one leaves the lock alone for a moment after each of its transactions. (Four processes that write without end:
 * the longest wait falls from 1.2 s to 0.3 s, and they get as much done.)
 */
const LATELY_MS = 1000;
const GRACE_MS = 1;

/**
 * Writes, in the order in which they were asked for. What is asked for in one turn of the event loop shares a
 * transaction, so that it waits for the disk once. The lock of another process is waited for outside of SQLite, whose own
 * waiting would hold up the whole process.
 */
export class WriteQueue {
  private jobs: Job[] = [];
  private graceUntil = 0;
  private draining: Promise<void> | undefined;

  constructor(private readonly transactions: Transactions) {}

  /**
   * Resolves with what `work` returns, when it is on the disk. Rejects with what `work` or the database throws; then
   * nothing has happened, unless `work` went on after it had changed something.
   */
  add<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.jobs.push({
        work,
        resolve: resolve as (value: unknown) => void,
        reject,
        deadline: performance.now() + WAIT_MS,
        alone: false,
      });
      this.draining ??= this.drain();
    });
  }

  /** Resolves when all that was asked for has ended. */
  async idle(): Promise<void> {
    await this.draining;
  }

  private async drain(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    for (await nextTurn(); this.jobs.length > 0;) {
      const error = this.tryBegin();
      if (error === undefined) {
        pause = FIRST_PAUSE_MS;
        this.runTransaction();
        // First a turn: timers count from when the turn began, and a commit can take longer than the grace.
        await nextTurn();
        if (performance.now() < this.graceUntil) await sleep(GRACE_MS);
      } else if (this.transactions.isBusy(error)) {
        this.graceUntil = performance.now() + LATELY_MS;
        this.giveUpLate(error);
        await sleep(pause * (0.5 + Math.random()));
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      } else {
        for (const job of this.jobs.splice(0)) job.reject(error);
      }
    }
    // In the same turn as the last look, or a call that comes between would wait for ever.
    this.draining = undefined;
  }

  private tryBegin(): unknown {
    try {
      this.transactions.begin();
      return undefined;
    } catch (error) {
      return error ?? new Error('no reason was given');
    }
  }

  private giveUpLate(error: unknown): void {
    const now = performance.now();
    const late = this.jobs.filter(({ deadline }) => deadline <= now);
    this.jobs = this.jobs.filter(({ deadline }) => deadline > now);
    for (const job of late) job.reject(error);
  }

  private runTransaction(): void {
    const started: Job[] = [];
    const settle: (() => void)[] = [];
    try {
      for (const end = performance.now() + TURN_MS; this.mayTake(started);) {
        const job = this.jobs.shift() as Job;
        started.push(job);
        settle.push(this.runJob(job));
        if (performance.now() >= end) break;
      }
      this.transactions.commit();
    } catch (error) {
      this.rollBack();
      this.startOver(started, error);
      return;
    }
    for (const one of settle) one();
  }

  /** Nobody else can write until it is done. */
  private rollBack(): void {
    try {
      if (this.transactions.isOpen()) this.transactions.rollback();
    } catch {
      // The connection is broken: the next transaction cannot begin, and says so to whoever asks.
    }
  }

  private mayTake(started: readonly Job[]): boolean {
    const [next] = this.jobs;
    return next !== undefined && (started.length === 0 || (!next.alone && started[0]?.alone !== true));
  }

  /** @throws when the whole transaction is gone; what fails for itself alone is the caller's */
  private runJob({ work, resolve, reject }: Job): () => void {
    try {
      const value = work();
      return () => resolve(value);
    } catch (error) {
      if (!this.transactions.isOpen()) throw error;
      return () => reject(error);
    }
  }

  /** One that does not fit on the disk must not fail those that happened to come with it. */
  private startOver(started: readonly Job[], error: unknown): void {
    if (started.length === 1) started[0]?.reject(error);
    else this.jobs.unshift(...started.map((job) => ({ ...job, alone: true })));
  }
}
