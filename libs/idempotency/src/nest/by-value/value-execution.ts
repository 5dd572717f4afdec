import { concatMap, dematerialize, finalize, isObservable, materialize, type Observable } from 'rxjs';
import type { Verdict } from '../deliveries/verdict.js';
import type { IdempotencyException } from '../problems.js';
import { NotBegun } from '../recover.js';
import { settle, shown } from '../settle.js';
import { hold, type Held, type StreamEnd } from './held-stream.js';
import type { ValueRecord } from './value-record.js';

type Phase = 'not begun' | 'running' | 'returned' | 'threw';

export interface ValueExecutionTerms {
  readonly record: ValueRecord;
  /**
   * What becomes of an Observable: every emission is a reply as it comes (`each`), all are when it has ended (`together`), or its
   * last one is the reply.
   */
  readonly replies: 'each' | 'together' | 'last';
  /** A copy of an emission to be recorded; undefined when it is too much beside those before. */
  readonly copy: (emission: unknown) => { readonly value: unknown } | undefined;
  /** Runs the handler, or answers in its place. */
  readonly run: (handler: () => unknown) => Promise<unknown>;
  /** On the message of a handler that did not begin because of an error. */
  readonly verdictOf: (error: unknown) => Verdict;
}

/**
 * One execution of a handler by value: sees the handler and the interceptors inside ours, and ends the record once. What the
 * handler returned is recorded before anybody sees it; a throw is decided when nobody inside of us can try again.
 */
export class ValueExecution {
  private phase: Phase = 'not begun';
  private error: unknown;
  /** Whether the interceptors inside ours have answered, or nobody listens to them any more. */
  private chain: 'pending' | 'answered' | 'unheard' = 'pending';
  /** What they answered with, when it is an error. */
  private chainError: { readonly error: unknown } | undefined;
  /** They have answered while the handler was running. */
  private answeredEarly = false;
  private ended = false;
  /** Keeps what a transactional handler has returned, when it is known that no error takes its place. */
  private keep: (() => Promise<IdempotencyException | undefined>) | undefined;
  private held: Extract<Held, { kind: 'stream' }> | undefined;
  private current: Promise<unknown> | undefined;

  constructor(private readonly terms: ValueExecutionTerms) {}

  /**
   * What the stand-in calls. An interceptor may ask again after a throw; while it runs, and once it returned, all get the one
   * outcome.
   */
  readonly handle = (handler: () => unknown): Promise<unknown> =>
    (this.current ??= this.attempt(handler).catch((error: unknown) => {
      this.current = undefined;
      throw error;
    }));

  /** The chain inside ours, whose end is passed on when the record knows of it. */
  watch(chain: Observable<unknown>): Observable<unknown> {
    return chain.pipe(
      materialize(),
      concatMap(async (event) => {
        if (event.kind === 'E') this.chainError ??= { error: event.error };
        const isEnd = event.kind !== 'N' || this.phase === 'threw' || this.keep !== undefined;
        const instead = isEnd ? await this.chainEnded(event.kind === 'E' ? 'error' : 'value') : undefined;
        return instead === undefined ? event : { kind: 'E' as const, error: instead };
      }),
      dematerialize(),
      finalize(() => {
        this.held?.stop();
        void this.chainEnded('nothing');
      }),
    );
  }

  private async attempt(handler: () => unknown): Promise<unknown> {
    // Somebody else has answered already and the key was given back: a retry may be running by now.
    if (this.ended) throw new Error('the call was answered before its handler began; it does not run');
    this.phase = 'running';
    try {
      return await this.settled(await this.terms.run(handler));
    } catch (error) {
      this.phase = 'threw';
      this.error = error;
      if (this.chain !== 'pending') await this.end();
      throw error instanceof NotBegun ? error.cause : error;
    }
  }

  private async settled(result: unknown): Promise<unknown> {
    const { replies, copy } = this.terms;
    if (replies !== 'each' || !isObservable(result)) {
      const outcome = await settle(result);
      return this.returned(replies === 'together' ? outcome : { value: outcome.value });
    }
    const held = await hold(result, { copy, onEnd: (end) => this.streamEnded(end) });
    if (held.kind === 'settled') return this.returned(held.value);
    if (held.kind === 'failed') throw held.error;
    this.held = held;
    // Nobody is there to listen, and it may never end: whatever it has done is done.
    if (this.chain !== 'pending') held.stop();
    return held.stream;
  }

  private async returned(value: Parameters<ValueRecord['returned']>[0]): Promise<unknown> {
    const { record } = this.terms;
    this.phase = 'returned';
    if (record.isTransactional && this.chain !== 'unheard') {
      if (this.answeredEarly) await this.end();
      else this.keep = record.returning(value);
      return shown(value);
    }
    this.ended = true;
    const instead = await record.returned(value);
    if (instead !== undefined) throw instead;
    return shown(value);
  }

  private async streamEnded(end: StreamEnd): Promise<IdempotencyException | undefined> {
    const { record } = this.terms;
    this.phase = end.kind === 'failed' ? 'threw' : 'returned';
    if (this.ended) return undefined;
    this.ended = true;
    if (end.kind === 'failed') return record.threw(end.error);
    if (end.kind === 'lost') return record.keepNothing();
    return record.returned({ value: end.emissions.at(-1), emissions: end.emissions });
  }

  /** @returns what is to be said instead of what the chain says */
  private async chainEnded(how: 'value' | 'error' | 'nothing'): Promise<IdempotencyException | undefined> {
    if (this.chain === 'pending') this.chain = how === 'nothing' ? 'unheard' : 'answered';
    const { keep, phase } = this;
    if (keep !== undefined) return this.keptBy(how === 'error' ? undefined : keep);
    if (phase === 'not begun' || phase === 'threw') return this.end();
    // It goes on without those who asked, and its own end will be recorded; not so what is answered for in a transaction.
    if (phase === 'running' && how !== 'nothing') {
      this.answeredEarly = true;
      this.terms.record.abandon();
    }
    return undefined;
  }

  private async keptBy(keep: typeof this.keep): Promise<IdempotencyException | undefined> {
    if (this.ended) return undefined;
    this.ended = true;
    if (keep !== undefined) return keep();
    // What its client is told is an error, so nothing of it is to last.
    await this.terms.record.undone();
    return undefined;
  }

  private async end(): Promise<IdempotencyException | undefined> {
    if (this.ended) return undefined;
    this.ended = true;
    const { record } = this.terms;
    if (this.answeredEarly && record.isTransactional) {
      await record.undone();
      return undefined;
    }
    if (this.phase !== 'not begun' && !(this.error instanceof NotBegun)) return record.threw(this.error);
    await record.notBegun(this.verdictOfNotBegun());
    return undefined;
  }

  /** An interceptor inside ours may have answered in its place. */
  private verdictOfNotBegun(): Verdict {
    if (this.error instanceof NotBegun) return this.terms.verdictOf(this.error.cause);
    if (this.chainError !== undefined) return this.terms.verdictOf(this.chainError.error);
    return this.chain === 'answered' ? 'done' : 'again';
  }
}
