import { HttpException } from '@nestjs/common';
import { Observable, tap } from 'rxjs';
import type { Run } from '../core/run.js';
import { HttpExecution } from '../http/http-execution.js';
import { lateOutcomeIn, type HandlerValue, type LateOutcome } from '../http/late-outcome.js';
import { inside, sendInItsPlace, tapResponse, type Answer, type Exchange } from './exchange.js';
import { RunningOperation } from './idempotent-operation.js';
import { runningExecution } from './running-execution.js';
import { settle, shown } from './settle.js';
import { guarded } from './user-callbacks.js';

/** Runs the handler and records what goes out. */
export function runAnswer(exchange: Exchange, run: Run, key: string): Answer {
  const { runtime, plan, request } = exchange;
  const late = lateOutcome(exchange, run);
  const execution = new HttpExecution({
    ...plan.options,
    ...guarded(plan.options, runtime),
    run,
    clock: runtime.clock,
    timers: runtime.timers,
    insideHandler: () => runningExecution.getStore()?.insideHandler === true,
    answersItself: plan.answersItself,
    describeError,
    onFailure: runtime.onFailure,
  });
  const takenOver = run.previous === 'expired';
  const facts = { key, recordId: run.id, attempt: run.attempt, takenOver, signal: run.signal };
  const operation = new RunningOperation(facts, (resource) => (execution.resource = resource));
  tapResponse(exchange, execution);
  if (request.rawResponse.closed) execution.responseClosed();
  else request.rawResponse.once('close', () => execution.responseClosed());

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
    const earlier = takenOver ? await recover(exchange, operation) : undefined;
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
  const answer = inside(exchange, operation, handle);
  const send = tap((value: unknown) => {
    if (recovered && plan.answersItself) sendInItsPlace(exchange, value);
  });
  return (next) => watch(answer(next), execution).pipe(send);
}

function lateOutcome({ runtime, operation }: Exchange, run: Run): LateOutcome | undefined {
  try {
    return lateOutcomeIn(run.steps);
  } catch (error) {
    void run.release({ forget: true });
    runtime.publish({ type: 'record-unreadable', id: run.id, operation, error });
    throw runtime.problems.recordUnreadable(error);
  }
}

/** Asks the user's `recover` what an earlier run came to. */
async function recover(exchange: Exchange, operation: RunningOperation): Promise<unknown> {
  const { recover: ask, onAbandoned } = exchange.plan.options;
  if (ask === undefined) return undefined;
  let earlier: unknown;
  try {
    earlier = await ask(operation, exchange.context);
  } catch (error) {
    throw new NotBegun(error);
  }
  if (earlier === undefined && onAbandoned === 'refuse') {
    throw new NotBegun(exchange.runtime.problems.outcomeUnknown());
  }
  return earlier;
}

/** An error before the handler could begin: nothing has happened, and the record stays as it was found. */
class NotBegun extends Error {
  constructor(override readonly cause: unknown) {
    super('the handler did not begin');
  }
}

function answerLate(late: LateOutcome): HandlerValue {
  if (late.phase === 'returned') return late;
  throw new HttpException(late.response, late.status);
}

function describeError(error: unknown): { status: number; response: string | object } | undefined {
  if (!(error instanceof HttpException)) return undefined;
  return { status: error.getStatus(), response: error.getResponse() };
}

/** Tells the execution how the chain inside our interceptor ends. */
function watch(chain: Observable<unknown>, execution: HttpExecution): Observable<unknown> {
  return new Observable((subscriber) => {
    execution.chainStarted();
    const subscription = chain.subscribe({
      next: (value) => {
        execution.chainEnded('value');
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
