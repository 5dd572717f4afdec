import { Observable, tap } from 'rxjs';
import type { BeginOutcome } from '../core/idempotency-engine.js';
import { decodeValue } from '../core/plain-value.js';
import { resourceFrom, responseFromResult, type RecordedResponse } from '../http/recorded-response.js';
import type { Verdict } from '../http/response-tap.js';
import { sendInItsPlace, tapResponse, withoutRun, type Answer, type Exchange } from './exchange.js';
import { setHeaders, setStatus } from './http-request.js';
import { IdempotencyException } from './problems.js';

type Recorded = Extract<BeginOutcome, { kind: 'replay' }>;

/**
 * Sends what is recorded.
 *
 * @throws IdempotencyException `result-not-replayable` or `record-unreadable`
 */
export function replayAnswer(exchange: Exchange, recorded: Recorded, id: string, key: string): Answer {
  const { runtime, operation } = exchange;
  const { result, expiresInMs } = recorded;
  try {
    const answer =
      result.kind === 'response'
        ? sendRecorded(exchange, responseFromResult(result), expiresInMs)
        : answerInItsPlace(exchange, recorded, id, key);
    runtime.publish({ type: 'replayed', id, operation });
    return answer;
  } catch (error) {
    if (error instanceof IdempotencyException) throw error;
    runtime.publish({ type: 'record-unreadable', id, operation, error });
    throw runtime.problems.recordUnreadable(error);
  }
}

/** In the handler's place: pipes, interceptors, serializers and filters work as for a first answer. */
function answerInItsPlace(exchange: Exchange, recorded: Recorded, id: string, key: string): Answer {
  const { runtime, plan, request, context } = exchange;
  const { kind, body, meta } = recorded.result;
  const resource = resourceFrom(meta['resource']);
  const { replayWith } = plan.options;
  const rebuild =
    kind === 'bodyless' && replayWith && resource ? () => replayWith(resource, context) : undefined;
  const value: unknown = kind === 'value' ? decodeValue(body) : undefined;
  if (rebuild === undefined && kind !== 'value') throw runtime.problems.notReplayable(resource);
  setHeaders(request, replayHeaders(exchange, recorded.expiresInMs));
  if (isSuccess(meta['status'])) setStatus(request, meta['status']);
  const answer = withoutRun(exchange, { key, recordId: id }, rebuild ?? (() => value));
  if (!plan.answersItself) return answer;
  return (next) => answer(next).pipe(tap((sent) => sendInItsPlace(exchange, sent)));
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
 * Sends a recorded response where it was recorded: whatever Nest, outer interceptors and Fastify hooks answer on the
 * way there is thrown away, and what comes after (compression) works anew.
 */
function sendRecorded(exchange: Exchange, response: RecordedResponse, expiresInMs: number): Answer {
  const headers = Object.entries(replayHeaders(exchange, expiresInMs));
  const replace = async (): Promise<Verdict> => ({ kind: 'replace', response, headers });
  tapResponse(exchange, { limit: Infinity, ended: replace, tooLarge: replace });
  return () =>
    new Observable((subscriber) => {
      subscriber.next(undefined);
      subscriber.complete();
      // Nest leaves the response to handlers with `@Res()`, and this one will not run.
      if (exchange.plan.answersItself) endResponse(exchange);
    });
}

function endResponse({ request: { reply, rawResponse } }: Exchange): void {
  if (reply === undefined) rawResponse.end();
  else (reply as unknown as { send(payload?: unknown): unknown }).send('');
}
