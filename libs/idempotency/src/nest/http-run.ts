import { Observable, tap } from 'rxjs';
import type { Run } from '../core/run.js';
import { whenClosed } from '../http/departure.js';
import { HttpExecution } from '../http/http-execution.js';
import type { HandlerValue } from '../http/late-outcome.js';
import { keepReadable, type Departed } from './departed-streams.js';
import { inside, sendInItsPlace, tapResponse, type Answer, type Exchange } from './exchange.js';
import { describeError } from './http-errors.js';
import { RunningOperation, type OperationFacts } from './idempotent-operation.js';
import { answerLate, lateOutcome } from './late-answer.js';
import { NotBegun, recover } from './recover.js';
import { runningExecution } from './running-execution.js';
import { settle, shown } from './settle.js';
import { guarded } from './user-callbacks.js';

/** What the stand-in does when it is reached. */
export interface Place {
  /** Runs the handler, or answers in its place. */
  handle(handler: () => unknown): unknown;
  /** The chain inside our interceptor has made this of it. */
  sent(value: unknown): void;
}

/** Runs the handler and records what goes out. */
export function runAnswer(exchange: Exchange, run: Run, key: string): Answer {
  const operation = new RunningOperation(factsOf(run, key), () => {});
  const { execution, handle, sent } = startRun(exchange, run, key, operation);
  const answer = inside(exchange, operation, handle);
  return (next) => watch(answer(next), execution).pipe(tap(sent));
}

/** From here on what goes out is recorded, and the run is ended by it. */
export function startRun(
  exchange: Exchange,
  run: Run,
  key: string,
  operation: RunningOperation,
): Place & { readonly execution: HttpExecution } {
  const { runtime, plan, request } = exchange;
  const late = lateOutcome(exchange, run);
  const { ttlMs, maxResponseBytes } = plan.options;
  const { record, keepsHeader } = guarded(plan.options, runtime);
  const execution = new HttpExecution({
    run,
    ttlMs,
    record,
    keepsHeader,
    maxResponseBytes,
    clock: runtime.clock,
    timers: runtime.timers,
    insideHandler: () => runningExecution.getStore()?.insideHandler === true,
    answersItself: plan.answersItself,
    describeError,
    onFailure: runtime.onFailure,
  });
  operation.become(factsOf(run, key), (resource) => (execution.resource = resource));
  // Before the tap, which keeps the news from those who come later.
  execution.whenConcluded(whenClosed(request.rawResponse, () => execution.responseClosed()));
  tapResponse(exchange, execution);

  let recovered = false;
  const attempt = async (handler: () => unknown): Promise<unknown> => {
    // The answer is out already and the key was given back: a retry may be running by now.
    if (!execution.begin())
      throw new Error('the request was answered before its handler began; it does not run');
    try {
      const value = late === undefined ? await recoverOrRun(handler) : answerLate(late);
      execution.returned(value);
      return shown(value);
    } catch (error) {
      execution.threw(error, !(error instanceof NotBegun));
      throw error instanceof NotBegun ? error.cause : error;
    }
  };
  const recoverOrRun = async (handler: () => unknown): Promise<HandlerValue> => {
    const earlier = operation.takenOver ? await recover(exchange, operation) : undefined;
    recovered = earlier !== undefined;
    return settle(earlier === undefined ? handler() : earlier);
  };

  let current: Promise<unknown> | undefined;
  // An interceptor may ask again after a throw. While it runs, and once it returned, all get the one outcome.
  const handle = (handler: () => unknown): Promise<unknown> =>
    (current ??= attempt(handler).catch((error: unknown) => {
      current = undefined;
      throw error;
    }));
  const sent = (value: unknown): void => {
    if (recovered && plan.answersItself) sendInItsPlace(exchange, value);
  };
  return { execution, handle, sent };
}

function factsOf({ id, attempt, previous, signal }: Run, key: string): OperationFacts {
  return { key, recordId: id, attempt, takenOver: previous === 'expired', signal };
}

/** Who is told how the chain inside our interceptor ends, and by whom its answer is sent. */
export type WatchedChain = Departed & Pick<HttpExecution, 'chainStarted' | 'chainEnded' | 'chainTornDown'>;

/** Tells the execution how the chain inside our interceptor ends. */
export function watch(chain: Observable<unknown>, execution: WatchedChain): Observable<unknown> {
  return new Observable((subscriber) => {
    execution.chainStarted();
    const subscription = chain.subscribe({
      next: (value) => {
        execution.chainEnded('value');
        keepReadable(value, execution);
        subscriber.next(value);
      },
      error: (error: unknown) => {
        execution.chainEnded('error');
        subscriber.error(error);
      },
      complete: () => {
        execution.chainEnded('value');
        subscriber.complete();
      },
    });
    return () => {
      execution.chainTornDown();
      subscription.unsubscribe();
    };
  });
}
