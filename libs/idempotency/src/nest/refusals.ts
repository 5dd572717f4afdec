import { catchError, isObservable, throwError, type Observable } from 'rxjs';
import type { Problems } from './problems.js';

/**
 * A handler whose refusals are problems: seen as such by the record, by interceptors and by filters. As early as here, or
 * an outcome would be judged by an error that nobody knows.
 */
export function refusing(problems: Problems, handler: () => unknown): () => unknown {
  const refuse = (error: unknown): never => {
    throw problems.refusalOf(error);
  };
  const watched = (value: unknown): unknown =>
    isObservable(value) ? value.pipe(problemsOf(problems)) : value;
  return () => {
    let result: unknown;
    try {
      result = handler();
    } catch (error) {
      refuse(error);
    }
    return isPromise(result) ? result.then(watched, refuse) : watched(result);
  };
}

function problemsOf(problems: Problems) {
  return (source: Observable<unknown>): Observable<unknown> =>
    source.pipe(catchError((error: unknown) => throwError(() => problems.refusalOf(error))));
}

function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}
