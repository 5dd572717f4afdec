import type { ExecutionContext } from '@nestjs/common';
import { tap, type MonoTypeOperatorFunction } from 'rxjs';
import { httpRequestOf, setHeaders } from './http-request.js';
import { IdempotencyException } from './problems.js';

/**
 * Puts the headers of a refusal of ours on the response before any filter sees it: a filter may reshape the body, the
 * headers stay. Also for `IdempotencyService.run()` in a route that is not decorated.
 */
export function problemHeaders<T>(context: ExecutionContext): MonoTypeOperatorFunction<T> {
  return tap({
    error: (error: unknown) => {
      if (error instanceof IdempotencyException) setHeaders(httpRequestOf(context), error.headers);
    },
  });
}
