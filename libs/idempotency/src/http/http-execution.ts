import { Deferred } from '../core/bounded.js';
import type { StoredResult } from '../core/result.js';
import type { ReleaseOutcome } from '../core/run-terms.js';
import { Conclusion } from './conclusion.js';
import type { ExecutionTerms } from './execution-terms.js';
import { encodeLateOutcome, type HandlerError, type HandlerValue } from './late-outcome.js';
import { saveLateOutcome } from './late-outcome-save.js';
import type { ProblemCode } from './problem-details.js';
import { responseToResult, type HeaderList, type Resource } from './recorded-response.js';
import { defaultRecordPolicy, isFinalStatus, type RecordDecision } from './retention.js';
import type { ResponseHead, ResponseJudge, Verdict } from './response-tap.js';
import { Silence } from './silence.js';

/** Where the handler is. Nothing is ever decided from an exception's class. */
export type Phase = 'not begun' | 'running' | 'returned' | 'threw';

/** How long a settled handler whose client is gone may be silent before its response has ended: then nobody will end it. */
const ORPHAN_GRACE_MS = 1000;
/** How long an answer that the handler has ended by itself is held for what the handler does after it. */
const WORKS_ON_GRACE_MS = 1000;

/** One execution of a handler over HTTP: sees the handler, the interceptors and the response, and ends the run once. */
export class HttpExecution implements ResponseJudge {
  readonly limit: number;
  resource: Resource | undefined;
  private phase: Phase = 'not begun';
  private chain: 'pending' | 'value' | 'error' | 'torn down' = 'pending';
  private returnedValue: HandlerValue = {};
  private error: unknown;
  private readonly conclusion = new Conclusion();
  private answered = false;
  private closed = false;
  /** The handler has ended the response by itself: that answer is its outcome, whatever the handler does after it. */
  private handlerAnswered = false;
  private readonly silence: Silence;
  private forgetWhenReleased = false;
  private settled = new Deferred<void>();
  private readonly responseAwaited = new Deferred<void>();
  sayOut?: () => void;
  /** The answer is there, and a transactional handler is still at work. */
  private mustSettleFirst = false;

  constructor(private readonly terms: ExecutionTerms) {
    this.limit = terms.maxResponseBytes;
    this.silence = new Silence(terms.timers, ORPHAN_GRACE_MS, () => void this.concludeWithoutResponse());
  }

  /** The handler is about to run. `false`: the key was given back while pipes or interceptors were still at work. */
  begin(): boolean {
    if (this.conclusion.reached) return false;
    // An interceptor may run the handler again after it threw.
    if (this.phase !== 'not begun') this.settled = new Deferred();
    this.phase = 'running';
    this.forgetWhenReleased = false;
    return true;
  }

  returned(value: HandlerValue): void {
    this.phase = 'returned';
    this.returnedValue = value;
    this.handlerSettled();
  }

  /** @param effect `false`: it failed before the handler began, so the record stays as this run found it */
  threw(error: unknown, effect = true): void {
    this.phase = 'threw';
    this.error = error;
    this.forgetWhenReleased = !effect;
    this.handlerSettled();
  }

  /** Somebody subscribes to us: for the first time, or again after an error or a timeout. */
  chainStarted(): void {
    this.chain = 'pending';
  }

  /** The interceptors inside ours and the handler have produced a value. */
  chainEnded(how: 'value' | 'error'): void {
    if (this.chain === 'pending') this.chain = how;
    this.checkOrphan();
  }

  /** Our observable was unsubscribed: whatever is answered now is not the handler's answer. */
  chainTornDown(): void {
    if (this.chain === 'pending') this.chain = 'torn down';
    this.checkOrphan();
  }

  /** The connection is closed. */
  responseClosed(): void {
    this.closed = true;
    this.checkOrphan();
  }

  /** Whether an answer is still being made, although nobody will get it: who makes it must not give up. */
  get answersNobody(): boolean {
    return this.closed && !this.conclusion.reached;
  }

  /** Calls `fn` when the outcome is decided. */
  whenConcluded(fn: () => void): void {
    this.conclusion.whenReached(fn);
  }

  whenLetGo(fn: () => void): void {
    this.conclusion.whenLetGo(fn, this.terms.work.run.signal);
  }

  progressed(): void {
    this.silence.broken();
  }

  /** The handler waits for its own answer to be out (`await pipeline(file, res)`), so that is not held until it settles. */
  awaited(): void {
    if (this.phase !== 'running') return;
    this.responseAwaited.resolve();
    if (this.mustSettleFirst) this.sayOut?.();
  }

  /** The body broke off and the connection is lost: nobody will get an answer. */
  abandoned(): void {
    this.answering();
    void this.concludeWithoutResponse();
  }

  async ended(head: ResponseHead, body: Buffer): Promise<Verdict> {
    this.answering();
    if (this.conclusion.reached) return SEND;
    if (this.isEarlyAnswer()) return this.answeredEarly();
    if (this.phase === 'running') await this.handlerWorksOn();
    const { keepsHeader } = this.terms;
    const headers = head.headers.filter(([name]) => keepsHeader(name));
    const trailers = head.trailers?.filter(([name]) => keepsHeader(name));
    const response = { ...head, headers, trailers, body };
    return this.conclude(head, () => responseToResult({ ...response, resource: this.resource }));
  }

  async tooLarge(head: ResponseHead, isWhole: boolean): Promise<Verdict> {
    this.answering();
    if (this.conclusion.reached) return SEND;
    if (this.isEarlyAnswer()) return this.answeredEarly();
    if (this.mustSettle()) {
      if (!isWhole) return this.undoneFor('response-too-large');
      await this.handlerWorksOn();
    }
    return this.conclude(head, () => this.bodyless(head.status));
  }

  /** There is an answer, or there will be none. */
  private answering(): void {
    this.answered = true;
    this.silence.stop();
  }

  private async handlerWorksOn(): Promise<void> {
    this.handlerAnswered = true;
    const { timers, work } = this.terms;
    if (work.isTransactional) {
      // What it writes after its answer commits with it, and the answer goes out after the commit.
      this.mustSettleFirst = true;
      this.sayOut?.();
      return this.settled.promise;
    }
    const timer = timers.set(WORKS_ON_GRACE_MS, () => this.responseAwaited.resolve());
    await Promise.race([this.settled.promise, this.responseAwaited.promise]);
    timers.clear(timer);
  }

  /** Whether something else answers in the place of a handler that runs, or whose outcome is not out yet. */
  private isEarlyAnswer(): boolean {
    const { phase, chain } = this;
    const { insideHandler, answersItself } = this.terms;
    // A handler may answer by itself (`@Res()`) and work on.
    if (phase === 'not begun' || (phase === 'running' && insideHandler())) return false;
    if (chain === 'torn down') return true;
    // What a handler does in callbacks cannot always be told from what others do; but others come last.
    return phase === 'running' && (!answersItself || chain !== 'pending');
  }

  private async answeredEarly(): Promise<Verdict> {
    this.terms.work.abandon();
    const concluded = this.concludeWithoutResponse();
    if (this.phase !== 'running') await concluded;
    return { kind: 'send', headers: [], deafAfter: true };
  }

  private async conclude(head: ResponseHead, result: () => StoredResult): Promise<Verdict> {
    this.conclusion.reach();
    const { work } = this.terms;
    if (this.decide(head.status) === 'release') {
      const released = await this.release(head.status);
      if (released === 'uncommitted') return this.refuse('commit-failed');
      return released === 'superseded' ? { kind: 'send', headers: this.headersFor(released) } : SEND;
    }
    if (this.handlerAnswered && work.steps.undoing !== undefined) return this.undoneWithout(head.status);
    if (this.phase === 'threw' && !this.handlerAnswered) {
      const refused = await this.complete(result, head.status, (kept) =>
        work.refuse(kept, this.terms.ttlMs, () => this.finalError(head.status)),
      );
      return refused === 'not undone'
        ? this.refuse('undo-failed')
        : { kind: 'send', headers: this.headersFor(refused) };
    }
    const kept = await this.complete(result, head.status, (kept) => work.keep(kept, this.terms.ttlMs));
    if (kept === 'uncommitted') return this.refuse('commit-failed');
    return { kind: 'send', headers: this.headersFor(kept) };
  }

  private async release(status: number): Promise<ReleaseOutcome | 'uncommitted'> {
    const { work } = this.terms;
    const forget = this.phase === 'not begun' || this.forgetWhenReleased;
    if (!work.isTransactional || this.phase !== 'returned') {
      const released = await work.giveUp({ forget });
      // It has said something else than what became of its writes.
      return work.isTransactional && this.handlerAnswered ? 'uncommitted' : released;
    }
    return status < 500 ? work.letGo() : work.giveUp({ forget });
  }

  /** The handler ran for the sake of its undos and has sent an answer by itself, which is not the one: that is for the next. */
  private async undoneWithout(status: number): Promise<Verdict> {
    const { work } = this.terms;
    if ((await work.undo(() => this.finalError(status))) === 'undone') await work.giveUp({ forget: false });
    return this.refuse('undo-failed');
  }

  /** What it writes from now on still belongs to its transaction. */
  private mustSettle(): boolean {
    return this.phase === 'running' && this.terms.work.isTransactional;
  }

  /** What was to go out must not, and the run ends when the handler has settled. */
  private undoneFor(code: ProblemCode): Verdict {
    this.conclusion.reach();
    const { work, onFailure } = this.terms;
    work.abandon();
    work.giveUp({ forget: false }).catch(onFailure);
    return this.refuse(code);
  }

  private refuse(code: ProblemCode): Verdict {
    const response = { ...this.terms.refusal(code), framing: 'whole' } as const;
    return { kind: 'replace', response, headers: [] };
  }

  /** The effect has happened: what cannot be kept as it is must still never run again. */
  private async complete<T>(
    result: () => StoredResult,
    status: number | undefined,
    end: (result: StoredResult) => Promise<T>,
  ): Promise<T> {
    try {
      return await end(result());
    } catch (error) {
      this.terms.onFailure(error);
      return end({ kind: 'bodyless', meta: { status }, body: new Uint8Array(0) });
    }
  }

  private headersFor(outcome: 'recorded' | 'superseded' | 'unrecorded'): HeaderList {
    if (outcome !== 'recorded') return [['Idempotency-Status', outcome]];
    const expires = new Date(this.terms.clock.wallMs() + this.terms.ttlMs);
    return [['Idempotency-Expires', expires.toUTCString()]];
  }

  private decide(status: number | undefined): RecordDecision {
    const { work } = this.terms;
    if (this.phase === 'not begun') {
      // An inner interceptor that answered in the handler's place; anything else refused, and nothing has happened.
      // Who answers without the handler knows nothing of what is still to be undone.
      return this.chain === 'value' && isFinalStatus(status) && work.steps.undoing === undefined
        ? 'keep'
        : 'release';
    }
    if (this.forgetWhenReleased) return 'release';
    if (work.steps.undoing !== undefined) return 'keep'; // as an earlier attempt has decided
    if (work.isTransactional && this.isUndone(status)) return 'release';
    const phase = this.phase === 'threw' && !this.handlerAnswered ? 'threw' : 'returned';
    const base = { transport: 'http', phase, ...(status === undefined ? {} : { status }) } as const;
    const outcome =
      phase === 'threw' ? { ...base, error: this.error } : { ...base, value: this.returnedValue.value };
    try {
      return this.terms.record(outcome);
    } catch (error) {
      this.terms.onFailure(error);
      return defaultRecordPolicy(outcome);
    }
  }

  /** What a transaction has seen is not what goes out. */
  private isUndone(status: number | undefined): boolean {
    if (this.phase === 'threw') return this.handlerAnswered;
    return status !== undefined && status >= 500;
  }

  private bodyless(status: number | undefined) {
    return { kind: 'bodyless' as const, meta: { status, resource: this.resource }, body: new Uint8Array(0) };
  }

  private handlerSettled(): void {
    this.settled.resolve();
    this.checkOrphan();
  }

  /** A client that is gone and an answer that nobody will finish: the outcome is kept without it. */
  private checkOrphan(): void {
    if (!this.closed || this.answered || this.conclusion.reached) return;
    if (this.chain === 'torn down') void this.concludeWithoutResponse();
    else if (this.chain !== 'pending') this.silence.listen();
  }

  /** Waits for the handler and keeps what it came to, for the first retry to send. Never rejects. */
  private async concludeWithoutResponse(): Promise<void> {
    if (this.conclusion.reached) return;
    try {
      await this.keepOutcome();
    } catch (error) {
      this.terms.onFailure(error);
      await this.terms.work.run.complete(this.bodyless(undefined), this.terms.ttlMs);
    } finally {
      this.conclusion.letGo();
    }
  }

  private async keepOutcome(): Promise<void> {
    const { work, ttlMs } = this.terms;
    if (this.phase === 'not begun') {
      this.conclusion.reach();
      await work.giveUp({ forget: true });
      return;
    }
    await this.settled.promise;
    if (this.conclusion.reached) return;
    this.conclusion.reach();
    // Without an answer nobody can tell whether its writes are to last, and a throw may come of their end.
    if (work.isTransactional) {
      await work.giveUp({ forget: false });
      return;
    }
    const described = this.phase === 'threw' ? this.describeError() : undefined;
    const status = described?.status;
    if (this.decide(status) === 'release' || (this.phase === 'threw' && described === undefined)) {
      await work.giveUp({ forget: this.forgetWhenReleased });
      return;
    }
    if (described && (await work.undo(() => this.finalError(described.status))) === 'not undone') return;
    if (await this.keepForRetry(described)) await work.giveUp({ forget: false });
    else
      await this.complete(
        () => this.bodyless(status),
        status,
        (result) => work.run.complete(result, ttlMs),
      );
  }

  /** What a later attempt answers, should this one not come to the end of its undos. */
  private finalError(status: number): Uint8Array {
    return this.terms.finalError(this.error, status);
  }

  /** The error is the user's, and so is what its members do. */
  private describeError(): HandlerError | undefined {
    try {
      return this.terms.describeError(this.error);
    } catch (error) {
      this.terms.onFailure(error);
      return undefined;
    }
  }

  /** The record stays open with the outcome as a step: the next attempt sends it through the ordinary reply path. */
  private async keepForRetry(described: HandlerError | undefined): Promise<boolean> {
    if (described === undefined && this.terms.answersItself) return false;
    const bytes = encodeLateOutcome(
      described ? { phase: 'threw', ...described } : { phase: 'returned', ...this.returnedValue },
    );
    if (bytes === undefined) return false;
    return saveLateOutcome(this.terms.work.run, bytes, this.terms);
  }
}

const SEND: Verdict = { kind: 'send', headers: [] };
