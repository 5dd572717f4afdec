import type { ExecutionContext } from '@nestjs/common';
import { catchError, type MonoTypeOperatorFunction } from 'rxjs';
import { httpRequestOf, setHeaders } from './http-request.js';
import { IdempotencyException, type Problems } from './problems.js';

/**
 * Makes problems of refusals, and puts their headers on the response before any filter sees them: a filter may reshape the
 * body, the headers stay. Also for `IdempotencyService.run()` and what else of ours refuses in a route that is not decorated.
 */
export function problemHeaders<T>(
  context: ExecutionContext,
  problems: Problems,
): MonoTypeOperatorFunction<T> {
  return catchError((error: unknown) => {
    const refusal = problems.refusalOf(error);
    if (refusal instanceof IdempotencyException) setHeaders(httpRequestOf(context), refusal.headers);
    throw refusal;
  });
}
