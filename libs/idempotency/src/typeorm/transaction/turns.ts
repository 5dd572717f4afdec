import type { RequestConnection } from './dialect.js';
import { TransactionEndedError } from './errors.js';

/** How long beginning and ending may take, and what is under way may hold up the end. */
const PATIENCE_MS = 5000;

/**
 * One connection, on which one thing happens at a time, in the order in which it was asked for; and its end, of which nobody
 * must wait for ever.
 */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();
  private gone: Error | undefined;
  private readonly whenGone: Promise<never>;
  private sayGone: (reason: Error) => void = () => undefined;

  constructor(private readonly connection: RequestConnection) {
    this.whenGone = new Promise((_, reject) => (this.sayGone = reject));
    this.whenGone.catch(() => undefined);
  }

  /** @throws TransactionEndedError when the connection is closed meanwhile, or what `work` throws */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(() => {
      if (this.gone !== undefined) throw this.gone;
      // A driver may never answer on a connection that was closed.
      return Promise.race([work(), this.whenGone]);
    });
    this.last = turn.catch(() => undefined);
    return turn;
  }

  /** Something that is under way already; the next one waits for its end as well. */
  takenUntil(over: Promise<unknown>): void {
    this.last = Promise.allSettled([this.last, over]);
  }

  /** @throws what `work` throws, or that it took too long; then the connection is closed, and the server undoes all */
  async takeSoon(work: () => Promise<unknown>): Promise<void> {
    try {
      await inTime(this.take(work));
    } catch (error) {
      await this.discard(error as Error);
      throw error;
    }
  }

  /** Never rejects. Back to the pool, or closed where it is not known what state it is in. */
  async release(): Promise<void> {
    try {
      await inTime(this.last);
      if (this.gone === undefined) await this.connection.release();
    } catch (error) {
      await this.discard(error as Error);
    }
  }

  private async discard(reason: Error): Promise<void> {
    if (this.gone !== undefined) return;
    this.gone = new TransactionEndedError('has lost its connection', { cause: reason });
    this.sayGone(this.gone);
    await this.connection.discard(reason);
  }
}

async function inTime(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const reason = new Error(`the database has not answered within ${PATIENCE_MS} ms`);
    timer = setTimeout(() => reject(reason), PATIENCE_MS);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
