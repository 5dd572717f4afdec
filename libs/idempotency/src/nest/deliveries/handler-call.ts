import {
  AsyncSubject,
  catchError,
  defaultIfEmpty,
  finalize,
  from,
  isObservable,
  mergeMap,
  of,
  tap,
  type Observable,
} from 'rxjs';
import { deliveryIn, newDelivery } from './deliveries.js';
import type { Delivery } from './delivery.js';
import { watched } from './watched.js';

/** A handler as Nest's servers keep it; the next one of the same event hangs on it. */
export interface ServerHandler {
  (...args: unknown[]): unknown;
  readonly isEventHandler?: boolean;
  readonly extras?: object;
  readonly next?: ServerHandler;
}

/** A handler that Nest calls, and whose end its delivery learns of. Messages that nobody acknowledges pass untouched. */
export function watchedHandler(handler: ServerHandler): ServerHandler {
  // Nest hangs properties on it and reads them from the function itself.
  return new Proxy(handler, {
    apply(target, self: unknown, args: unknown[]) {
      const call = (): unknown => Reflect.apply(target, self, args);
      // Nest may put a context of its own before the data.
      const about = args.at(-1);
      const known = deliveryIn(about);
      if (known !== undefined) return known.isSent ? call() : nextCall(known, call);
      const expected = ownIn(target);
      if (expected === 0) return call();
      const isShared = target.next !== undefined;
      const isEvent = target.isEventHandler === true || watched.events.has(about as object);
      const delivery = newDelivery(about, { expected, isShared, isEvent });
      return delivery === undefined ? call() : firstCall(delivery, call);
    },
  });
}

/** How many handlers of an event are ours. */
function ownIn(first: ServerHandler): number {
  let count = 0;
  for (let handler: ServerHandler | undefined = first; handler !== undefined; handler = handler.next) {
    if (handler.extras !== undefined && watched.own.has(handler.extras)) count += 1;
  }
  return count;
}

/** What comes of it goes to Nest as it is, with what came of the next ones. */
function firstCall(delivery: Delivery, call: () => unknown): unknown {
  let failure: { readonly error: unknown } | undefined;
  const failed = (error: unknown): void => {
    failure ??= { error };
  };
  const ending = (value: unknown): unknown => {
    if (isObservable(value))
      return value.pipe(
        tap({ error: failed }),
        finalize(() => delivery.ended(failure)),
      );
    delivery.ended();
    return value;
  };
  const refused = (error: unknown): never => {
    delivery.ended({ error });
    throw error;
  };
  delivery.began();
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    refused(error);
  }
  return result instanceof Promise ? result.then(ending, refused) : ending(result);
}

/**
 * One more handler of the same event. Nest joins them so that the first one to fail, or to end without a value, tears down the
 * others, whether they have begun or not: so it runs by itself, and its end is all that Nest sees. Nest has logged what it threw.
 */
function nextCall(delivery: Delivery, call: () => unknown): Observable<unknown> {
  const end = new AsyncSubject<unknown>();
  delivery.began();
  let failure: { readonly error: unknown } | undefined;
  from(promised(call))
    .pipe(
      mergeMap((value) => (isObservable(value) ? value : of(value))),
      catchError((error: unknown) => {
        failure = { error };
        return of(undefined);
      }),
      defaultIfEmpty(undefined),
      finalize(() => delivery.ended(failure)),
    )
    .subscribe(end);
  return end;
}

async function promised(call: () => unknown): Promise<unknown> {
  return call();
}
