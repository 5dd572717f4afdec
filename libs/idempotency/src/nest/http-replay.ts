import { of, tap } from 'rxjs';
import type { BeginOutcome } from '../core/idempotency-engine.js';
import { resourceFrom, responseFromResult, type RecordedResponse } from '../http/recorded-response.js';
import type { Verdict } from '../http/response-tap.js';
import { resultToOutcome, type KeptOutcome } from './by-value/recorded-value.js';
import { sendInItsPlace, tapResponse, withoutRun, type Answer, type Exchange } from './exchange.js';
import { setHeaders, setStatus } from './http-request.js';
import type { Place } from './http-run.js';
import { IdempotencyException } from './problems.js';
import { shown } from './settle.js';

type Recorded = Extract<BeginOutcome, { kind: 'replay' }>;

/** Sends what is recorded without asking anybody; or, what has to be made anew, through the ordinary reply path. */
export function replayAnswer(exchange: Exchange, recorded: Recorded, id: string, key: string): Answer {
  const { handle, sent } = replay(exchange, recorded, id);
  const answer: Answer =
    recorded.result.kind === 'response'
      ? () => of(undefined)
      : withoutRun(exchange, { key, recordId: id }, () => handle);
  return (next) => answer(next).pipe(tap(sent));
}

/**
 * What is recorded, in the handler's place.
 *
 * @throws IdempotencyException `result-not-replayable` or `record-unreadable`
 */
export function replay(exchange: Exchange, recorded: Recorded, id: string): Place {
  const { runtime, operation, correlationId } = exchange;
  const { result, expiresInMs } = recorded;
  try {
    const place =
      result.kind === 'response'
        ? recordedResponse(exchange, responseFromResult(result), expiresInMs)
        : recordedResult(exchange, recorded);
    runtime.publish({ type: 'replayed', id, operation, correlationId });
    return place;
  } catch (error) {
    if (error instanceof IdempotencyException) throw error;
    runtime.publish({ type: 'record-unreadable', id, operation, correlationId, error });
    throw runtime.problems.recordUnreadable(error);
  }
}

/** Pipes, interceptors, serializers and filters work on it as for a first answer. */
function recordedResult(exchange: Exchange, recorded: Recorded): Place {
  const { runtime, plan, request, context } = exchange;
  const { kind, meta } = recorded.result;
  const resource = resourceFrom(meta['resource']);
  const { replayWith } = plan.options;
  const rebuild =
    kind === 'bodyless' && replayWith && resource ? () => replayWith(resource, context) : undefined;
  const kept = kind === 'value' ? resultToOutcome(recorded.result, runtime.classes) : undefined;
  if (rebuild === undefined && kind !== 'value') throw runtime.problems.notReplayable(resource);
  setHeaders(request, replayHeaders(exchange, recorded.expiresInMs));
  if (isSuccess(meta['status'])) setStatus(request, meta['status']);
  return {
    handle: rebuild ?? (() => inItsPlace(exchange, kept)),
    sent: (sent) => plan.answersItself && sendInItsPlace(exchange, sent),
  };
}

/** A message handler of the same `operation` may have come to an error. */
function inItsPlace({ runtime }: Exchange, kept: KeptOutcome | undefined): unknown {
  if (kept?.kind === 'threw') throw runtime.transportErrors.rebuild('http', kept.error);
  return kept?.kind === 'returned' ? shown(kept.value) : undefined;
}

/** What was rebuilt has the status of the first answer, unless that was a failure of sending it. */
function isSuccess(status: unknown): status is number {
  return typeof status === 'number' && status >= 200 && status < 400;
}

function replayHeaders({ runtime }: Exchange, expiresInMs: number): Record<string, string> {
  const expires = new Date(runtime.clock.wallMs() + expiresInMs);
  return { 'Idempotent-Replayed': 'true', 'Idempotency-Expires': expires.toUTCString() };
}

/**
 * Sends a recorded response where it was recorded: whatever Nest, interceptors and Fastify hooks answer on the way there
 * is thrown away, and what comes after (compression) works anew.
 */
function recordedResponse(exchange: Exchange, response: RecordedResponse, expiresInMs: number): Place {
  const headers = Object.entries(replayHeaders(exchange, expiresInMs));
  const replace = async (): Promise<Verdict> => ({ kind: 'replace', response, headers });
  tapResponse(exchange, { limit: Infinity, ended: replace, tooLarge: replace });
  // Nest leaves the response to handlers with `@Res()`, and this one will not run.
  return { handle: () => undefined, sent: () => exchange.plan.answersItself && endResponse(exchange) };
}

function endResponse({ request: { reply, rawResponse } }: Exchange): void {
  if (reply === undefined) rawResponse.end();
  else (reply as unknown as { send(payload?: unknown): unknown }).send('');
}
