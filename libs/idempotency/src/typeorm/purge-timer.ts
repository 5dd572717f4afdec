import { setTimeout as sleep } from 'node:timers/promises';

export interface PurgeJob {
  readonly everyMs: number;
  /** Whose timer it is and what is removed, for the operator. @default 'typeOrmStorage: expired records' */
  readonly what?: string;
  /** Removes at most `limit` records; answers how many. */
  purge(limit: number): Promise<number>;
  warn(message: string): void;
}

/** One statement's worth: some milliseconds of work, so that requests find a connection between two of them. */
const BATCH = 500;
const PAUSE_MS = 10;
/** What Node's timers can count; past it they fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Removes expired records from time to time, in bounded batches. Never rejects, never keeps the process alive. */
export class PurgeTimer {
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private round: Promise<void> = Promise.resolve();

  constructor(private readonly job: PurgeJob) {}

  /** The first round comes at a random moment, so that replicas that start together do not purge together. */
  start(): void {
    this.wait(Math.random() * this.job.everyMs);
  }

  /** Resolves when the batch that runs, if any, has ended. */
  async stop(): Promise<void> {
    this.stopping.abort();
    clearTimeout(this.timer);
    await this.round;
  }

  private wait(ms: number): void {
    if (this.stopping.signal.aborted) return;
    const part = Math.min(ms, MAX_TIMER_MS);
    this.timer = setTimeout(() => {
      if (part < ms) return this.wait(ms - part);
      this.round = this.runRound().finally(() => this.wait(this.job.everyMs));
    }, part);
    this.timer.unref();
  }

  private async runRound(): Promise<void> {
    const { signal } = this.stopping;
    try {
      while (!signal.aborted && (await this.job.purge(BATCH)) === BATCH) {
        await sleep(PAUSE_MS, undefined, { ref: false });
      }
    } catch (error) {
      if (signal.aborted) return;
      const { what = 'typeOrmStorage: expired records' } = this.job;
      this.job.warn(
        `${what} could not be removed, the next try comes by itself. ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
