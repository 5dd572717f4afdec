import { HttpException, type CallHandler, type ExecutionContext } from '@nestjs/common';
import { isObservable, lastValueFrom, Observable } from 'rxjs';
import type { BeginOutcome, BeginRequest } from '../core/idempotency-engine.js';
import { decodeValue } from '../core/plain-value.js';
import { recordId } from '../core/record-id.js';
import type { Run } from '../core/run.js';
import { FastifyResponseTap } from '../http/fastify-response-tap.js';
import { HttpExecution } from '../http/http-execution.js';
import { lateOutcomeIn, type LateOutcome } from '../http/late-outcome.js';
import { RawResponseTap } from '../http/raw-response-tap.js';
import { resourceFrom, responseFromResult, type RecordedResponse } from '../http/recorded-response.js';
import type { ResponseJudge, Verdict } from '../http/response-tap.js';
import type { HandlerPlan } from './handler-plan.js';
import { httpRequestOf, setHeaders, type HttpRequest } from './http-request.js';
import { RunningOperation } from './idempotent-operation.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { IdempotencyException } from './problems.js';
import { fingerprintFor, keyOf, keyPlaces, scopeOf } from './request-identity.js';
import { runningExecution, type RunningExecution } from './running-execution.js';

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'SEARCH', 'QUERY']);

/** One HTTP request to a decorated route, from its key to its answer. */
export async function protect(
  runtime: IdempotencyRuntime,
  plan: HandlerPlan,
  context: ExecutionContext,
  next: CallHandler,
): Promise<Observable<unknown>> {
  const request = httpRequestOf(context);
  if (plan.byClass && SAFE_METHODS.has(request.method)) return next.handle();
  try {
    return await new HttpExchange(runtime, plan, context, next, request).answer();
  } catch (error) {
    // On the response before any filter sees it: a filter may reshape the body, the headers stay.
    if (error instanceof IdempotencyException) setHeaders(request, error.headers);
    throw error;
  }
}

class HttpExchange {
  private readonly options;
  private readonly operation: string;

  constructor(
    private readonly runtime: IdempotencyRuntime,
    private readonly plan: HandlerPlan,
    private readonly context: ExecutionContext,
    private readonly next: CallHandler,
    private readonly request: HttpRequest,
  ) {
    this.options = plan.options;
    this.operation = plan.options.operation ?? `${request.method} ${request.template}${plan.versionSuffix}`;
  }

  async answer(): Promise<Observable<unknown>> {
    const { runtime, options, context, request } = this;
    const { problems } = runtime;
    const scope = await scopeOf(context, request, options, problems);
    const key = keyOf(context, request, options, scope, problems);
    if (key === undefined) {
      if (options.required) throw problems.keyMissing(this.operation, keyPlaces(options.keys));
      return this.runUnprotected(undefined);
    }
    if (scope === undefined) runtime.warnOfNobody(this.operation);
    const fingerprint = await fingerprintFor(context, request, options, this.operation, problems);
    const id = recordId({ namespace: runtime.namespace, operation: this.operation, scope, key });
    const outcome = await runtime.engine.begin(this.beginRequest(id, fingerprint));
    return this.follow(outcome, id, key);
  }

  private beginRequest(id: string, fingerprint: string): BeginRequest {
    const { options } = this;
    // With `recover` the crash is looked into first, so the record has to be ours.
    const takeOver = options.onAbandoned === 'rerun' || options.recover !== undefined;
    return { ...options, id, operation: this.operation, fingerprint, takeOver };
  }

  private follow(outcome: BeginOutcome, id: string, key: string): Observable<unknown> {
    const { problems } = this.runtime;
    switch (outcome.kind) {
      case 'run':
        return this.run(outcome.run, id, key);
      case 'replay':
        return this.replay(outcome, id, key);
      case 'in_progress':
        throw problems.keyInProgress(outcome.retryAfterMs);
      case 'reused':
        throw problems.keyReused();
      case 'abandoned':
        throw problems.outcomeUnknown();
      case 'unreadable':
        throw problems.recordUnreadable(outcome.error);
      case 'unavailable':
        if (this.options.onStorageFailure === 'reject') throw problems.storageUnavailable(outcome.error);
        this.runtime.publish({ type: 'unprotected', id, operation: this.operation, error: outcome.error });
        return this.runUnprotected(key, id);
    }
  }

  private runUnprotected(key: string | undefined, id?: string): Observable<unknown> {
    const facts = { key, recordId: id, attempt: 1, takenOver: false, signal: NEVER_ABORTED };
    return this.inside(new RunningOperation(facts, () => {}), (handler) => handler());
  }

  /** Runs the handler and records what goes out. */
  private run(run: Run, id: string, key: string): Observable<unknown> {
    const { runtime, options, plan } = this;
    const late = this.lateOutcome(run);
    const execution = new HttpExecution({
      ...options,
      run,
      clock: runtime.clock,
      timers: runtime.timers,
      insideHandler: () => runningExecution.getStore()?.insideHandler === true,
      answersItself: plan.answersItself,
      describeError,
      onFailure: runtime.onFailure,
    });
    const takenOver = run.previous === 'expired';
    const facts = { key, recordId: id, attempt: run.attempt, takenOver, signal: run.signal };
    const operation = new RunningOperation(facts, (resource) => (execution.resource = resource));
    this.tap(execution);
    this.request.rawResponse.once('close', () => execution.responseClosed());
    const handle = async (handler: () => unknown): Promise<unknown> => {
      // The answer is out already and the key was given back: a retry may be running by now.
      if (!execution.begin())
        throw new Error('the request was answered before its handler began; it does not run');
      try {
        if (late !== undefined) {
          const value = answerLate(late);
          execution.returned(value);
          return value;
        }
        const earlier = takenOver ? await this.recover(operation) : undefined;
        const value: unknown = earlier === undefined ? await settle(handler()) : earlier;
        execution.returned(value);
        return value;
      } catch (error) {
        execution.threw(error, !(error instanceof NotBegun));
        throw error instanceof NotBegun ? error.cause : error;
      }
    };
    return watch(this.inside(operation, handle), execution);
  }

  private lateOutcome(run: Run): LateOutcome | undefined {
    try {
      return lateOutcomeIn(run.steps);
    } catch (error) {
      void run.release({ forget: true });
      this.runtime.publish({ type: 'record-unreadable', id: run.id, operation: this.operation, error });
      throw this.runtime.problems.recordUnreadable(error);
    }
  }

  /** Asks the user's `recover` what an earlier run came to. */
  private async recover(operation: RunningOperation): Promise<unknown> {
    const { recover, onAbandoned } = this.options;
    if (recover === undefined) return undefined;
    let earlier: unknown;
    try {
      earlier = await recover(operation, this.context);
    } catch (error) {
      throw new NotBegun(error);
    }
    if (earlier === undefined && onAbandoned === 'refuse') {
      const problem = this.runtime.problems.outcomeUnknown();
      setHeaders(this.request, problem.headers);
      throw new NotBegun(problem);
    }
    return earlier;
  }

  private replay(
    outcome: Extract<BeginOutcome, { kind: 'replay' }>,
    id: string,
    key: string,
  ): Observable<unknown> {
    const { result, expiresInMs } = outcome;
    try {
      if (result.kind === 'response') return this.sendRecorded(responseFromResult(result), expiresInMs);
      const value: unknown = result.kind === 'value' ? decodeValue(result.body) : undefined;
      const resource = resourceFrom(result.meta['resource']);
      const { replayWith } = this.options;
      if (result.kind === 'bodyless' && (replayWith === undefined || resource === undefined)) {
        throw this.runtime.problems.notReplayable(resource);
      }
      setHeaders(this.request, this.replayHeaders(expiresInMs));
      const facts = { key, recordId: id, attempt: 1, takenOver: false, signal: NEVER_ABORTED };
      // In the handler's place: pipes, interceptors, serializers and filters work as for a first answer.
      return this.inside(new RunningOperation(facts, () => {}), () =>
        resource && replayWith && result.kind === 'bodyless' ? replayWith(resource, this.context) : value,
      );
    } catch (error) {
      if (error instanceof IdempotencyException) throw error;
      this.runtime.publish({ type: 'record-unreadable', id, operation: this.operation, error });
      throw this.runtime.problems.recordUnreadable(error);
    }
  }

  private replayHeaders(expiresInMs: number): Record<string, string> {
    const expires = new Date(this.runtime.clock.wallMs() + expiresInMs);
    return { 'Idempotent-Replayed': 'true', 'Idempotency-Expires': expires.toUTCString() };
  }

  /**
   * Sends a recorded response where it was recorded: whatever Nest, outer interceptors and Fastify hooks answer on the
   * way there is thrown away, and what comes after (compression) works anew.
   */
  private sendRecorded(response: RecordedResponse, expiresInMs: number): Observable<unknown> {
    const headers = Object.entries(this.replayHeaders(expiresInMs));
    const replace = async (): Promise<Verdict> => ({ kind: 'replace', response, headers });
    this.tap({ limit: Infinity, ended: replace, tooLarge: replace });
    return new Observable((subscriber) => {
      subscriber.next(undefined);
      subscriber.complete();
      // Nest leaves the response to handlers with `@Res()`, and this one will not run.
      if (this.plan.answersItself) this.endResponse();
    });
  }

  private endResponse(): void {
    const { reply, rawResponse } = this.request;
    if (reply === undefined) rawResponse.end();
    else (reply as unknown as { send(payload?: unknown): unknown }).send('');
  }

  private tap(judge: ResponseJudge): void {
    const { request, runtime } = this;
    const raw = new RawResponseTap(request.rawResponse, judge, runtime.onFailure);
    if (request.reply === undefined) return;
    const tap = new FastifyResponseTap(request.reply, judge, runtime.onFailure);
    runtime.taps.set(request.rawResponse, tap);
    // What went through the hook is recorded there; what a handler writes to `reply.raw` is recorded here.
    tap.onTaken = () => raw.open();
  }

  /** The interceptors inside ours, the pipes and the handler, with the operation in reach of all of them. */
  private inside(operation: RunningOperation, handle: RunningExecution['handle']): Observable<unknown> {
    const execution = { standIn: this.plan.standIn, insideHandler: false, operation, handle };
    return runningExecution.run(execution, () => this.next.handle());
  }
}

/** An error before the handler could begin: nothing has happened, and the record stays as it was found. */
class NotBegun extends Error {
  constructor(override readonly cause: unknown) {
    super('the handler did not begin');
  }
}

const NEVER_ABORTED = new AbortController().signal;

function answerLate(late: LateOutcome): unknown {
  if (late.phase === 'returned') return late.value;
  throw new HttpException(late.response, late.status);
}

/** Awaited here, so that a disconnect does not tear an Observable down. */
async function settle(result: unknown): Promise<unknown> {
  const value: unknown = await result;
  return isObservable(value) ? lastValueFrom(value, { defaultValue: undefined }) : value;
}

function describeError(error: unknown): { status: number; response: string | object } | undefined {
  if (!(error instanceof HttpException)) return undefined;
  return { status: error.getStatus(), response: error.getResponse() };
}

/** Tells the execution how the chain inside our interceptor ends. */
function watch(chain: Observable<unknown>, execution: HttpExecution): Observable<unknown> {
  return new Observable((subscriber) => {
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
