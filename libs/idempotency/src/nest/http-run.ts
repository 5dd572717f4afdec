import { Observable, tap } from 'rxjs';
import type { Run } from '../core/run.js';
import type { Work } from '../core/work.js';
import { whenClosed } from '../http/departure.js';
import { HttpExecution } from '../http/http-execution.js';
import type { HandlerValue } from '../http/late-outcome.js';
import { newCorrelationId } from './correlation-id.js';
import { keepReadable, type Departed } from './departed-streams.js';
import { entered } from './entered.js';
import { inside, sendInItsPlace, tapResponse, type Answer, type Exchange } from './exchange.js';
import { encodeFinalError } from './final-error.js';
import { describeError } from './http-errors.js';
import { RunningOperation, type OperationFacts } from './idempotent-operation.js';
import { answerLate, lateOutcome } from './late-answer.js';
import type { IdempotencyException } from './problems.js';
import { NotBegun, recover } from './recover.js';
import { runHandler, workOf } from './run-handler.js';
import { runningExecution } from './running-execution.js';
import { settle, shown } from './settle.js';
import { endAgain } from './undo-mode.js';
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
  const work = workOf(exchange.runtime, run, exchange.plan.options, 'http');
  const operation = new RunningOperation(factsOf(work, key), () => {});
  const { execution, handle, sent } = startRun(exchange, work, key, operation);
  const answer = inside(exchange, operation, handle);
  return (next) =>
    watch(
      entered(work, () => answer(next)),
      execution,
    ).pipe(tap(sent));
}

/** From here on what goes out is recorded, and the run is ended by it. */
export function startRun(
  exchange: Exchange,
  work: Work,
  key: string,
  operation: RunningOperation,
): Place & { readonly execution: HttpExecution } {
  const { runtime, plan, request } = exchange;
  const late = lateOutcome(exchange, work.run);
  const { ttlMs, maxResponseBytes } = plan.options;
  const { record, keepsHeader } = guarded(plan.options, runtime);
  const execution = new HttpExecution({
    work,
    ttlMs,
    record,
    keepsHeader,
    maxResponseBytes,
    clock: runtime.clock,
    timers: runtime.timers,
    insideHandler: () => runningExecution.getStore()?.insideHandler === true,
    answersItself: plan.answersItself,
    describeError,
    finalError: (error, status) => encodeFinalError(runtime.transportErrors, error, status),
    refusal: (code) => answerOf(runtime.problems.instead(code)),
    onFailure: runtime.onFailure,
  });
  operation.become(factsOf(work, key), (resource) => (execution.resource = resource));
  // Before the tap, which keeps the news from those who come later.
  execution.whenConcluded(whenClosed(request.rawResponse, () => execution.responseClosed()));
  tapResponse(exchange, execution);

  let recovered = false;
  const attempt = async (handler: () => unknown): Promise<unknown> => {
    // The answer is out already and the key was given back: a retry may be running by now.
    if (!execution.begin())
      throw new Error('the request was answered before its handler began; it does not run');
    try {
      const { undoing } = work.steps;
      if (undoing !== undefined)
        return await endAgain(work, undoing, { runtime, transport: 'http' }, handler);
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
    return earlier === undefined ? runHandler(work, runtime.problems, handler) : settle(earlier);
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

/** What the handler sees of a run. */
export function factsOf(work: Work, key: string): OperationFacts {
  const { run, steps } = work;
  const { id, attempt, previous, signal } = run;
  // Asked for when it is used: each try of the handler has a transaction of its own.
  const manager = () => work.manager;
  const takenOver = previous === 'expired';
  const correlationId = run.correlationId ?? newCorrelationId();
  return { key, recordId: id, attempt, takenOver, signal, correlationId, steps, manager };
}

/** A refusal as it goes out where no exception filter comes any more. */
function answerOf(refusal: IdempotencyException) {
  const body = Buffer.from(JSON.stringify(refusal.getResponse()));
  return { status: refusal.getStatus(), headers: Object.entries(refusal.headers), body };
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
