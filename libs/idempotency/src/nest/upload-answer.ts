import { tap } from 'rxjs';
import type { HttpExecution } from '../http/http-execution.js';
import { begin, refuse } from './claim.js';
import { entered } from './entered.js';
import { inside, type Answer, type Exchange } from './exchange.js';
import { replay } from './http-replay.js';
import { isAnswered } from './http-request.js';
import { startRun, watch, type Place, type WatchedChain } from './http-run.js';
import { RunningOperation } from './idempotent-operation.js';
import { uploadFingerprint } from './request-fingerprint.js';
import { transactionFor, workOf } from './run-handler.js';
import { unrecordedSteps } from './step-tools.js';
import { unrecordedHandle } from './unrecorded-handle.js';

/**
 * An upload whose parser (`FileInterceptor`) is inside of us. What it asks for is known when the stand-in is reached, so
 * it is claimed there: one question to the storage, with a fingerprint of fields and files. The stand-in then runs the
 * handler, answers in its place, or refuses; what is answered before that is not ours to record.
 */
export function uploadAnswer(exchange: Exchange, id: string, key: string): Answer {
  const chain = new UploadChain();
  const { signal } = new AbortController();
  const { runtime, correlationId } = exchange;
  const steps = unrecordedSteps(runtime, exchange.operation, 'http', signal);
  const operation = new RunningOperation(
    { key, recordId: id, attempt: 1, takenOver: false, signal, correlationId, steps },
    () => {},
  );
  // Interceptors inside of us are entered before there is a run.
  const transaction = transactionFor(runtime, exchange.plan.options);
  const scope = {
    hasTransaction: transaction !== undefined,
    enter: <T>(fn: () => T): T => (transaction === undefined ? fn() : transaction.enter(fn)),
  };
  const claim = async (): Promise<Place> => {
    const { fingerprint } = await uploadFingerprint(exchange);
    if (isOver(exchange, chain)) throw tooLate();
    const outcome = await begin(exchange, id, fingerprint);
    if (isOver(exchange, chain)) {
      if (outcome.kind === 'run') await outcome.run.release({ forget: true });
      throw tooLate();
    }
    // From here to the handler nothing is awaited, so nobody can answer unseen.
    if (outcome.kind === 'run') {
      const work = workOf(runtime, outcome.run, exchange.plan.options, 'http', transaction);
      const started = startRun(exchange, work, key, operation);
      chain.follow(started.execution);
      return started;
    }
    if (outcome.kind === 'replay') return replay(exchange, outcome, id);
    refuse(exchange, id, outcome);
    return { handle: unrecordedHandle(exchange, steps), sent: () => {} };
  };

  let place: Place | undefined;
  let claiming: Promise<Place> | undefined;
  // What was refused may be asked for again, by an interceptor that waits and retries; what was decided stays.
  const handle = async (handler: () => unknown): Promise<unknown> => {
    claiming ??= claim().catch((error: unknown) => {
      claiming = undefined;
      throw error;
    });
    place = await claiming;
    return place.handle(handler);
  };
  const answer = inside(exchange, operation, handle);
  return (next) =>
    watch(
      entered(scope, () => answer(next)),
      chain,
    ).pipe(tap((value) => place?.sent(value)));
}

/** Somebody has answered, or given up, while the body was being received, read or looked up. */
function isOver({ request }: Exchange, chain: UploadChain): boolean {
  return chain.isOver || isAnswered(request) || request.rawResponse.headersSent;
}

function tooLate(): Error {
  return new Error('the request was answered before its handler began; it does not run');
}

/** The chain inside our interceptor, which begins before there is an execution to tell of it. */
class UploadChain implements WatchedChain {
  isOver = false;
  private execution: HttpExecution | undefined;

  follow(execution: HttpExecution): void {
    this.execution = execution;
  }

  get answersNobody(): boolean {
    return this.execution?.answersNobody ?? false;
  }

  whenConcluded(fn: () => void): void {
    if (this.execution === undefined) fn();
    else this.execution.whenConcluded(fn);
  }

  whenLetGo(fn: () => void): void {
    this.execution?.whenLetGo(fn);
  }

  chainStarted(): void {
    this.isOver = false;
    this.execution?.chainStarted();
  }

  chainEnded(how: 'value' | 'error'): void {
    this.isOver = true;
    this.execution?.chainEnded(how);
  }

  chainTornDown(): void {
    this.isOver = true;
    this.execution?.chainTornDown();
  }
}
