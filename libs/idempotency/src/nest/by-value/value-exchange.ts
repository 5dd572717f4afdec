import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { AsyncResource } from 'node:async_hooks';
import { catchError, Observable, throwError, type Subscriber } from 'rxjs';
import { TooDeepError } from '../../core/canonical-json.js';
import { fingerprintOf, NO_FINGERPRINT } from '../../core/fingerprint.js';
import type { BeginOutcome } from '../../core/idempotency-engine.js';
import { recordId } from '../../core/record-id.js';
import { selectMembers } from '../../http/request-parts.js';
import { findKeyIn, readKey, scopeOf, wordsForPlaces, type Caller } from '../caller.js';
import { begin, refuse } from '../claim.js';
import { isTakenByAnother } from '../contexts/graphql-document.js';
import { markField } from '../contexts/graphql-replay-mark.js';
import { openRequest } from '../contexts/open-request.js';
import { isKafka } from '../contexts/rpc.js';
import type { ValueRequest } from '../contexts/value-request.js';
import { correlationIdFrom } from '../correlation-id.js';
import { withoutRun, type Answer } from '../exchange.js';
import { openPart } from '../deliveries/deliveries.js';
import type { Part } from '../deliveries/delivery.js';
import type { HandlerPlan } from '../handler-plan.js';
import type { IdempotencyRuntime } from '../idempotency-runtime.js';
import { IdempotencyException } from '../problems.js';
import { refusedBy, verdictOf } from './message-verdict.js';
import { UnrecordedMessage } from './unrecorded-message.js';
import { holdsPromise, keyPlacesOf } from './value-identity.js';
import { replayValue } from './value-replay.js';
import { runValue } from './value-run.js';

/** One message to a decorated handler, or one field that a decorated resolver resolves. */
export interface ValueExchange extends Caller {
  readonly plan: HandlerPlan;
  readonly request: ValueRequest;
  /** In the delivery of its message; undefined when nobody acknowledges that. */
  readonly part?: Part | undefined;
}

/** From its key to its answer. Errors of ours come in the words of the transport. */
export function protectByValue(
  runtime: IdempotencyRuntime,
  plan: HandlerPlan,
  context: ExecutionContext,
  next: CallHandler,
): Observable<unknown> {
  // What outer interceptors keep in AsyncLocalStorage is in reach now, and not when we are subscribed to.
  const scope = new AsyncResource('IdempotencyInterceptor');
  let part: Part | undefined;
  const answered = new Observable((subscriber) => {
    const request = openRequest(context, plan);
    const operation = plan.options.operation ?? request.operation;
    const correlationId = correlationIdFrom(request.headers, request.correlationId);
    part =
      plan.transport === 'rpc' ? openPart(context.switchToRpc().getContext<unknown>(), context) : undefined;
    const exchange = { runtime, plan, context, request, operation, correlationId, part };
    scope.runInAsyncScope(() => void answer(exchange, next, subscriber));
  });
  const { transportErrors } = runtime;
  const told = (error: unknown): unknown => {
    // Nest says nothing of an `RpcException` that answers no request.
    if (plan.message?.isEvent === true && error instanceof IdempotencyException) {
      runtime.warnOfRefusedEvent(plan.message.names.join(' or '), error, part?.verdict);
    }
    return plan.transport === 'rpc' && isKafka(context.switchToRpc().getContext())
      ? transportErrors.inWordsOfKafka(error)
      : transportErrors.inWordsOf(plan.transport, error);
  };
  return answered.pipe(catchError((error: unknown) => throwError(() => told(error))));
}

/** Never rejects. Whoever subscribes again (`retry`) asks again: a run that goes on or has ended well is not repeated. */
async function answer(
  exchange: ValueExchange,
  next: CallHandler,
  subscriber: Subscriber<unknown>,
): Promise<void> {
  try {
    const decision = await decide(exchange);
    // Somebody outside of us has answered meanwhile. Nothing has begun, and a retry finds the record as we did.
    if (subscriber.closed) return await giveUp(exchange, decision);
    // From here to the subscription nothing is awaited, so nobody can give up unseen.
    const given = follow(exchange, decision);
    mark(exchange, decision);
    given(next).subscribe(subscriber);
  } catch (error) {
    exchange.part?.settle(refusedBy(exchange, error));
    subscriber.error(error);
  }
}

type Decision =
  | { readonly kind: 'keyless' }
  | { readonly kind: 'keyed'; readonly id: string; readonly key: string; readonly outcome: BeginOutcome };

async function decide(exchange: ValueExchange): Promise<Decision> {
  const { runtime, plan, request, operation } = exchange;
  const { problems, namespace } = runtime;
  const places = keyPlacesOf(request);
  const found = await findKeyIn(exchange, places);
  if (found === undefined) {
    if (plan.options.required)
      throw problems.keyMissing(operation, wordsForPlaces(plan.options.keys, places));
    const { correlationId } = exchange;
    runtime.publish({ type: 'unprotected', id: '', operation, correlationId });
    return { kind: 'keyless' };
  }
  const scope = await scopeOf(exchange, request.user);
  const own = readKey(found, exchange, scope);
  if (scope === undefined) runtime.warnOfNobody(operation);
  // A header is of the whole document; no key that a client can send holds the character between them.
  const apart = found.from === 'header' && request.position !== '';
  const key = apart ? `${own}\u0000${request.position}` : own;
  const id = recordId({ namespace, operation, scope, key });
  const { document } = request;
  if (found.from === 'header' && document !== undefined && isTakenByAnother(document, id)) {
    throw problems.keyMalformed(found.where, SHARED_BY_DOCUMENTS);
  }
  const outcome = await begin(exchange, id, await fingerprintFor(exchange));
  return { kind: 'keyed', id, key: own, outcome };
}

const SHARED_BY_DOCUMENTS =
  'several documents in one HTTP request ask for this operation, and it cannot tell them apart; send them one by one, or with keys in their arguments';

/** @throws IdempotencyException when the call is refused */
function follow(exchange: ValueExchange, decision: Decision): Answer {
  if (decision.kind === 'keyless') return unprotected(exchange, { key: undefined, recordId: undefined });
  const { id, key, outcome } = decision;
  if (outcome.kind === 'run') return runValue(exchange, outcome.run, key);
  if (outcome.kind === 'replay') {
    const answer = replayValue(exchange, outcome.result, id, key);
    const message = unrecordedMessage(exchange);
    return message === undefined ? answer : (next) => message.watch(answer(next));
  }
  refuse(exchange, id, outcome);
  return unprotected(exchange, { key, recordId: id });
}

function unprotected(exchange: ValueExchange, facts: Parameters<typeof withoutRun>[1]): Answer {
  const message = unrecordedMessage(exchange);
  if (message === undefined) return withoutRun(exchange, facts);
  const answer = withoutRun(exchange, facts, (handle) => message.run(handle));
  return (next) => message.watch(answer(next));
}

function unrecordedMessage(exchange: ValueExchange): UnrecordedMessage | undefined {
  const { part } = exchange;
  return part && new UnrecordedMessage(part, (error) => verdictOf(exchange, error));
}

/** Never throws: a run that has been won would be ended by nobody. */
function mark({ runtime, plan, context }: ValueExchange, decision: Decision): void {
  if (plan.transport !== 'graphql') return;
  try {
    markField(context, decision.kind === 'keyed' && decision.outcome.kind === 'replay');
  } catch (error) {
    runtime.onFailure(error); // what the application calls a response is its own
  }
}

async function giveUp({ part }: ValueExchange, decision: Decision): Promise<void> {
  if (decision.kind === 'keyed' && decision.outcome.kind === 'run') {
    await decision.outcome.run.release({ forget: true });
  }
  part?.settle({ verdict: 'again', told: true });
}

/** @throws IdempotencyException `fingerprint-unavailable` */
async function fingerprintFor(exchange: ValueExchange): Promise<string> {
  const { runtime, operation, context, request } = exchange;
  const { fingerprint } = exchange.plan.options;
  if (fingerprint === false) return NO_FINGERPRINT;
  const unavailable = (reason: string) => runtime.problems.fingerprintUnavailable(operation, reason);
  try {
    if (typeof fingerprint === 'function') return fingerprintOf(['own', await fingerprint(context)]);
    const { payload, payloadName } = request;
    const compared = fingerprint === undefined ? payload : selectMembers(payload, fingerprint);
    if (holdsPromise(compared))
      throw unavailable(`its ${payloadName} hold something that has not arrived yet`);
    return fingerprintOf([payloadName, compared]);
  } catch (error) {
    if (error instanceof TooDeepError) throw unavailable(`its ${request.payloadName} is ${error.message}`);
    throw error;
  }
}
