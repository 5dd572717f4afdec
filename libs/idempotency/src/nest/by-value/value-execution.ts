import { concatMap, dematerialize, finalize, isObservable, materialize, type Observable } from 'rxjs';
import { NotBegun } from '../recover.js';
import { settle, shown } from '../settle.js';
import { hold, type Held, type StreamEnd } from './held-stream.js';
import type { ValueRecord } from './value-record.js';

type Phase = 'not begun' | 'running' | 'returned' | 'threw';

export interface ValueExecutionTerms {
  readonly record: ValueRecord;
  /** Every emission of an Observable is a reply of its own. */
  readonly repliesByEmission: boolean;
  /** A copy of an emission to be recorded; undefined when it is too much beside those before. */
  readonly copy: (emission: unknown) => { readonly value: unknown } | undefined;
  /** Runs the handler, or answers in its place. */
  readonly run: (handler: () => unknown) => Promise<unknown>;
}

/**
 * One execution of a handler by value: sees the handler and the interceptors inside ours, and ends the record once. What the
 * handler returned is recorded before anybody sees it; a throw is decided when nobody inside of us can try again.
 */
export class ValueExecution {
  private phase: Phase = 'not begun';
  private error: unknown;
  /** The interceptors inside ours have answered or given up. */
  private chainOver = false;
  private ended = false;
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
        if (event.kind !== 'N' || this.phase === 'threw') await this.chainEnded();
        return event;
      }),
      dematerialize(),
      finalize(() => {
        this.held?.stop();
        void this.chainEnded();
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
      if (this.chainOver) await this.end();
      throw error instanceof NotBegun ? error.cause : error;
    }
  }

  private async settled(result: unknown): Promise<unknown> {
    const { repliesByEmission, copy } = this.terms;
    if (!repliesByEmission || !isObservable(result)) {
      const { value } = await settle(result);
      return this.returned({ value });
    }
    const held = await hold(result, { copy, onEnd: (end) => this.streamEnded(end) });
    if (held.kind === 'settled') return this.returned(held.value);
    if (held.kind === 'failed') throw held.error;
    this.held = held;
    // Nobody is there to listen, and it may never end: whatever it has done is done.
    if (this.chainOver) held.stop();
    return held.stream;
  }

  private async returned(value: Parameters<ValueRecord['returned']>[0]): Promise<unknown> {
    this.phase = 'returned';
    this.ended = true;
    await this.terms.record.returned(value);
    return shown(value);
  }

  private async streamEnded(end: StreamEnd): Promise<void> {
    const { record } = this.terms;
    this.phase = end.kind === 'failed' ? 'threw' : 'returned';
    if (this.ended) return;
    this.ended = true;
    if (end.kind === 'completed')
      await record.returned({ value: end.emissions.at(-1), emissions: end.emissions });
    else if (end.kind === 'failed') await record.threw(end.error);
    else await record.keepNothing();
  }

  private async chainEnded(): Promise<void> {
    this.chainOver = true;
    // It goes on without those who asked; its own end will be recorded.
    if (this.phase === 'not begun' || this.phase === 'threw') await this.end();
  }

  private async end(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    const { record } = this.terms;
    if (this.phase === 'not begun' || this.error instanceof NotBegun) await record.notBegun();
    else await record.threw(this.error);
  }
}
