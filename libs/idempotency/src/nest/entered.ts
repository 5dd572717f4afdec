import { AsyncResource } from 'node:async_hooks';
import { Observable } from 'rxjs';
import type { Work } from '../core/work.js';

/**
 * The chain inside our interceptor, in the transaction of the handler: interceptors and serializers there see what it has
 * written. Whoever is outside of us hears of it outside of that, too: an audit log of his must neither commit with the
 * handler nor come too late to do so.
 */
export function entered(
  work: Pick<Work, 'hasTransaction' | 'enter'>,
  chain: () => Observable<unknown>,
): Observable<unknown> {
  if (!work.hasTransaction) return chain();
  return new Observable((subscriber) => {
    const outside = new AsyncResource('IdempotentOperation');
    // What interceptors do with a value runs where they were subscribed to.
    return work.enter(() =>
      chain().subscribe({
        next: (value) => outside.runInAsyncScope(() => subscriber.next(value)),
        error: (error: unknown) => outside.runInAsyncScope(() => subscriber.error(error)),
        complete: () => outside.runInAsyncScope(() => subscriber.complete()),
      }),
    );
  });
}
