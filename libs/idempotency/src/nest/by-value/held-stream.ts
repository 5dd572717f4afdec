import { Observable, Subscription, type Subscriber } from 'rxjs';
import type { HandlerValue } from '../../http/late-outcome.js';

/** What an Observable that a handler returned turns out to be. */
export type Held =
  /** One emission or none: the outcome, before anybody has seen it. */
  | { readonly kind: 'settled'; readonly value: HandlerValue }
  /** It failed before it was a stream. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Several: they are passed on as they come. */
  | { readonly kind: 'stream'; readonly stream: Observable<unknown>; readonly stop: () => void };

/** How a stream ended. */
export type StreamEnd =
  | { readonly kind: 'completed'; readonly emissions: readonly unknown[] }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Whoever listened is gone, or it was too long to be kept. */
  | { readonly kind: 'lost' };

export interface StreamTerms {
  /** A copy of an emission, before anybody can change it; undefined when it is too much beside those before. */
  readonly copy: (emission: unknown) => { readonly value: unknown } | undefined;
  /**
   * Ends the record; awaited before the end of the stream is passed on. Never rejects.
   *
   * @returns the error to end it with instead, if there is one
   */
  readonly onEnd: (end: StreamEnd) => Promise<Error | undefined>;
}

/**
 * Listens to an Observable at once, so that nobody who leaves tears it down before its first emission is an outcome. That one is
 * held back until it is known whether it is the only one.
 */
export function hold(source: Observable<unknown>, terms: StreamTerms): Promise<Held> {
  return new HeldStream(terms).listenTo(source);
}

class HeldStream {
  private count = 0;
  /** What is to be recorded; undefined once it is too much. */
  private copies: unknown[] | undefined = [];
  /** What came before anybody listened. */
  private readonly waiting: unknown[] = [];
  private listener: Subscriber<unknown> | undefined;
  /** How the stream ended, once the record knows of it. */
  private passEnd: ((to: Subscriber<unknown>) => void) | undefined;
  private readonly subscription = new Subscription();

  constructor(private readonly terms: StreamTerms) {}

  listenTo(source: Observable<unknown>): Promise<Held> {
    return new Promise((resolve) => {
      const observer = {
        next: (value: unknown) => {
          this.emitted(value);
          if (this.count === 2) resolve({ kind: 'stream', stream: this.stream, stop: () => this.stop() });
        },
        error: (error: unknown) => {
          if (this.count > 1) void this.end({ kind: 'failed', error }, (to) => to.error(error));
          else resolve({ kind: 'failed', error });
        },
        complete: () => {
          const end: StreamEnd = this.copies
            ? { kind: 'completed', emissions: this.copies }
            : { kind: 'lost' };
          if (this.count > 1) void this.end(end, (to) => to.complete());
          else
            resolve({
              kind: 'settled',
              value: this.count === 1 ? { value: this.waiting[0] } : { emissions: [] },
            });
        },
      };
      // It may emit and even end while it is being subscribed to.
      this.subscription.add(source.subscribe(observer));
    });
  }

  private emitted(value: unknown): void {
    this.count += 1;
    const copy = this.copies && this.terms.copy(value);
    if (copy) this.copies?.push(copy.value);
    else this.copies = undefined;
    if (this.listener) this.listener.next(value);
    else this.waiting.push(value);
  }

  /** For one listener: the chain of interceptors. */
  private readonly stream = new Observable<unknown>((subscriber) => {
    for (const value of this.waiting.splice(0)) subscriber.next(value);
    this.listener = subscriber;
    this.passEnd?.(subscriber);
    return () => this.stop();
  });

  private async end(how: StreamEnd, pass: (to: Subscriber<unknown>) => void): Promise<void> {
    this.subscription.unsubscribe();
    const instead = await this.terms.onEnd(how);
    this.passEnd = instead === undefined ? pass : (to) => to.error(instead);
    if (this.listener) this.passEnd(this.listener);
  }

  private stop(): void {
    if (this.subscription.closed) return;
    this.subscription.unsubscribe();
    void this.terms.onEnd({ kind: 'lost' });
  }
}
