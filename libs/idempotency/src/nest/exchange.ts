import type { CallHandler, ExecutionContext } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { FastifyResponseTap } from '../http/fastify-response-tap.js';
import { RawResponseTap } from '../http/raw-response-tap.js';
import type { ResponseJudge } from '../http/response-tap.js';
import type { HandlerPlan } from './handler-plan.js';
import { isAnswered, type HttpRequest } from './http-request.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { RunningOperation, type OperationFacts } from './idempotent-operation.js';
import { refusing } from './refusals.js';
import { runningExecution, type RunningExecution } from './running-execution.js';
import { unrecordedSteps } from './step-tools.js';
import { unrecordedHandle } from './unrecorded-handle.js';

/** One HTTP request to a decorated route. */
export interface Exchange {
  readonly runtime: IdempotencyRuntime;
  readonly plan: HandlerPlan;
  readonly context: ExecutionContext;
  readonly request: HttpRequest;
  /** Name of the operation. */
  readonly operation: string;
  readonly correlationId: string;
}

/**
 * What an exchange came to. It is asked once more by every outer interceptor that subscribes again (`retry`): the same
 * answer, and never a second run beside the first.
 */
export type Answer = (next: CallHandler) => Observable<unknown>;

/** The interceptors inside ours, the pipes and the handler, with the operation in reach of all of them. */
export function inside(
  { runtime, plan, context }: Pick<Exchange, 'runtime' | 'plan' | 'context'>,
  operation: RunningOperation,
  handle: RunningExecution['handle'],
): Answer {
  const { problems } = runtime;
  const execution: RunningExecution = {
    context,
    standIn: plan.standIn,
    insideHandler: false,
    operation,
    handle: (handler) => handle(refusing(problems, handler)),
  };
  return (next) => runningExecution.run(execution, () => next.handle());
}

/**
 * Lets the handler answer without a run: nothing is claimed and nothing is recorded.
 *
 * @param handleBy what runs the handler, or answers in its place
 */
export function withoutRun(
  exchange: Pick<Exchange, 'runtime' | 'plan' | 'context' | 'operation' | 'correlationId'>,
  facts: Pick<OperationFacts, 'key' | 'recordId'>,
  handleBy = (unrecorded: RunningExecution['handle']): RunningExecution['handle'] => unrecorded,
): Answer {
  // A signal of its own: one that all share would gather every listener that handlers leave on it.
  const { signal } = new AbortController();
  const { runtime, plan, correlationId } = exchange;
  const steps = unrecordedSteps(runtime, exchange.operation, plan.transport, signal);
  const operation = new RunningOperation(
    { ...facts, attempt: 1, takenOver: false, signal, correlationId, steps },
    () => {},
  );
  return inside(exchange, operation, handleBy(unrecordedHandle(exchange, steps)));
}

/** Sends what came in the place of a handler with `@Res()`: Nest leaves the response to it, and it does not run. */
export function sendInItsPlace({ runtime, request, context }: Exchange, value: unknown): void {
  if (!isAnswered(request)) runtime.reply(context.switchToHttp().getResponse(), value);
}

/** Holds the response back until the judge has decided. */
export function tapResponse({ request, runtime }: Exchange, judge: ResponseJudge): void {
  const isFastify = request.reply !== undefined;
  const raw = new RawResponseTap(request.rawResponse, judge, runtime.onFailure, isFastify);
  if (request.reply === undefined) return;
  const tap = new FastifyResponseTap(request.reply, judge, runtime.onFailure);
  runtime.taps.set(request.rawResponse, tap);
  // What went through the hook is recorded there; what a handler writes to `reply.raw` is recorded here.
  tap.onTaken = (verdict) => raw.open(verdict);
  tap.onHeld = () => raw.suspend();
  tap.onDropped = () => raw.resume();
  tap.onPast = (recorded, headers) => raw.replaceWith(recorded, headers);
  tap.clientGone = () => raw.clientGone;
}
