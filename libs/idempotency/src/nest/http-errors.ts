import * as nest from '@nestjs/common';
import { HttpException } from '@nestjs/common';
import type { HandlerError } from '../http/late-outcome.js';

/** An error as an exception filter would answer it; undefined for unexpected ones. */
export function describeError(error: unknown): HandlerError | undefined {
  if (!(error instanceof HttpException)) return undefined;
  return { status: error.getStatus(), response: error.getResponse(), name: error.constructor.name };
}

/** The same error again. Filters may catch a class alone, so it is of its class if that is one of Nest's own. */
export function errorAgain({ status, response, name }: HandlerError): HttpException {
  const named: unknown = name === undefined ? undefined : (nest as Record<string, unknown>)[name];
  if (isErrorClass(named)) {
    const error = new named(response);
    if (error.getStatus() === status) return error;
  }
  return new HttpException(response, status);
}

function isErrorClass(value: unknown): value is new (response: string | object) => HttpException {
  return typeof value === 'function' && value.prototype instanceof HttpException;
}
