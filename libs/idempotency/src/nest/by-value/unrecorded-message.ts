import { finalize, isObservable, tap, type Observable } from 'rxjs';
import type { Part } from '../deliveries/delivery.js';
import type { Verdict } from '../deliveries/verdict.js';
import type { RunningExecution } from '../running-execution.js';

type Handle = RunningExecution['handle'];

/**
 * The delivery of a message that is answered without a record: settled when all who are inside of us are through, and so is the
 * handler, if it has begun.
 */
export class UnrecordedMessage {
  private isRunning = false;
  private isAnswered = false;
  /** Of those who have answered; of the handler, once it is through. */
  private verdict: Verdict = 'again';

  constructor(
    private readonly part: Pick<Part, 'settle'>,
    private readonly verdictOf: (error: unknown) => Verdict,
  ) {}

  /** The handler, which may outlive its answer. */
  run(handle: Handle): Handle {
    return async (handler) => {
      // The message has gone back, or is done with.
      if (this.isAnswered)
        throw new Error('the message was answered before its handler began; it does not run');
      this.isRunning = true;
      try {
        const result = await handle(handler);
        this.isRunning = false;
        this.verdict = isObservable(result) ? 'again' : 'done';
        return result;
      } catch (error) {
        this.isRunning = false;
        this.verdict = this.verdictOf(error);
        throw error;
      } finally {
        if (this.isAnswered) this.settle();
      }
    };
  }

  watch(answered: Observable<unknown>): Observable<unknown> {
    const ended = (verdict: Verdict) => {
      this.isAnswered = true;
      this.verdict = verdict;
      if (!this.isRunning) this.settle();
    };
    return answered.pipe(
      tap({
        // Whoever has heard one may have had enough.
        next: () => (this.verdict = 'done'),
        error: (error: unknown) => ended(this.verdictOf(error)),
        complete: () => ended('done'),
      }),
      // Nobody listens any more.
      finalize(() => ended(this.verdict)),
    );
  }

  private settle(): void {
    this.part.settle({ verdict: this.verdict, told: true });
  }
}
