import { createParamDecorator } from '@nestjs/common';
import { InvalidOptionsError } from '../../core/errors.js';
import type { IdempotentOperation } from '../idempotent-operation.js';
import { runningExecution } from '../running-execution.js';

const currentKey = (): string | undefined => current('@IdempotencyKey()').key;
const currentOperation = (): IdempotentOperation => current('@IdempotentOp()');

/** The key that the client sent; undefined when none was needed and none was sent. */
export const IdempotencyKey = createParamDecorator(currentKey);

/** The operation that runs: key, attempt, signal, and what a handler can tell about it. */
export const IdempotentOp = createParamDecorator(currentOperation);

/** How the metadata of a route names these decorators. */
export const PARAMETER_DECORATORS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [currentKey, '@IdempotencyKey()'],
  [currentOperation, '@IdempotentOp()'],
]);

export function noOperation(decorator: string, where = ''): InvalidOptionsError {
  return new InvalidOptionsError(
    `${decorator}${where} has no operation to give, because the method is not decorated with @Idempotent(). Add @Idempotent() to it, or remove the parameter.`,
  );
}

function current(decorator: string): IdempotentOperation {
  const execution = runningExecution.getStore();
  if (execution === undefined) throw noOperation(decorator);
  return execution.operation;
}
