import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { AsyncResource } from 'node:async_hooks';
import { Observable, type Subscriber } from 'rxjs';
import type { BeginOutcome } from '../core/idempotency-engine.js';
import { recordId } from '../core/record-id.js';
import { readKey } from './caller.js';
import { begin, refuse } from './claim.js';
import { correlationIdFrom } from './correlation-id.js';
import { withoutRun, type Answer, type Exchange } from './exchange.js';
import type { HandlerPlan } from './handler-plan.js';
import { replayAnswer } from './http-replay.js';
import { httpRequestOf, isAnswered } from './http-request.js';
import { runAnswer } from './http-run.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { fingerprintFor } from './request-fingerprint.js';
import { findKey, headersOnTheWire, keyPlaces, scopeOf } from './request-identity.js';
import { uploadAnswer } from './upload-answer.js';

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'SEARCH', 'QUERY']);

/** One HTTP request to a decorated route, from its key to its answer. */
export function protect(
  runtime: IdempotencyRuntime,
  plan: HandlerPlan,
  context: ExecutionContext,
  next: CallHandler,
): Observable<unknown> {
  // What outer interceptors keep in AsyncLocalStorage is in reach now, and not when we are subscribed to.
  const scope = new AsyncResource('IdempotencyInterceptor');
  return new Observable((subscriber) => {
    const request = httpRequestOf(context);
    const operation =
      plan.options.operation ?? `${request.method} ${request.template}${plan.operationSuffix}`;
    const correlationId = correlationIdFrom(headersOnTheWire(request.rawRequest));
    const exchange = { runtime, plan, context, request, operation, correlationId };
    scope.runInAsyncScope(() => void answer(exchange, next, subscriber));
  });
}

/** Never rejects. */
async function answer(exchange: Exchange, next: CallHandler, subscriber: Subscriber<unknown>): Promise<void> {
  const { runtime, context, request } = exchange;
  try {
    let given = runtime.answers.get(context);
    if (given === undefined) {
      const decision = await decide(exchange);
      // A timeout outside of us has answered meanwhile. A client that is merely gone still gets its operation done.
      if (subscriber.closed || isAnswered(request)) return await giveUp(decision, subscriber);
      // From here to the subscription nothing is awaited, so nobody can give up unseen.
      given = follow(exchange, decision);
      runtime.answers.set(context, given);
    }
    given(next).subscribe(subscriber);
  } catch (error) {
    subscriber.error(error);
  }
}

/** What to do with a request: `id` and `key` of its record, and what the engine said about it. */
type Decision =
  | { readonly kind: 'keyless' }
  /** It is claimed when its parts are parsed. */
  | { readonly kind: 'upload'; readonly id: string; readonly key: string }
  | { readonly kind: 'keyed'; readonly id: string; readonly key: string; readonly outcome: BeginOutcome };

async function decide(exchange: Exchange): Promise<Decision> {
  const { runtime, plan, request, operation, correlationId } = exchange;
  const { problems, namespace } = runtime;
  const { options } = plan;
  // On a whole class, `@All()` routes are protected where they change something.
  if (plan.byClass && SAFE_METHODS.has(request.method)) return { kind: 'keyless' };
  const found = await findKey(exchange);
  if (found === undefined) {
    if (options.required) throw problems.keyMissing(operation, keyPlaces(options.keys));
    runtime.publish({ type: 'unprotected', id: '', operation, correlationId });
    return { kind: 'keyless' };
  }
  const scope = await scopeOf(exchange);
  const key = readKey(found, exchange, scope);
  if (scope === undefined) runtime.warnOfNobody(operation);
  const told = await fingerprintFor(exchange);
  const id = recordId({ namespace, operation, scope, key });
  if (told.kind === 'later') return { kind: 'upload', id, key };
  return { kind: 'keyed', id, key, outcome: await begin(exchange, id, told.fingerprint) };
}

/** @throws IdempotencyException when the request is refused */
function follow(exchange: Exchange, decision: Decision): Answer {
  if (decision.kind === 'keyless') return withoutRun(exchange, { key: undefined, recordId: undefined });
  if (decision.kind === 'upload') return uploadAnswer(exchange, decision.id, decision.key);
  const { id, key, outcome } = decision;
  if (outcome.kind === 'run') return runAnswer(exchange, outcome.run, key);
  if (outcome.kind === 'replay') return replayAnswer(exchange, outcome, id, key);
  refuse(exchange, id, outcome);
  return withoutRun(exchange, { key, recordId: id });
}

/** Nobody waits for the handler any more, so it does not begin, and a retry finds the record as this request did. */
async function giveUp(decision: Decision, subscriber: Subscriber<unknown>): Promise<void> {
  if (decision.kind === 'keyed' && decision.outcome.kind === 'run') {
    await decision.outcome.run.release({ forget: true });
  }
  subscriber.next(undefined);
  subscriber.complete();
}
