import { createParamDecorator } from '@nestjs/common';
import { InvalidOptionsError } from '../../core/errors.js';
import type { IdempotentOperation } from '../idempotent-operation.js';
import { runningExecution } from '../running-execution.js';

/** The key that the client sent; undefined when none was needed and none was sent. */
export const IdempotencyKey = createParamDecorator(
  (): string | undefined => current('@IdempotencyKey()').key,
);

/** The operation that runs: key, attempt, signal, and what a handler can tell about it. */
export const IdempotentOp = createParamDecorator((): IdempotentOperation => current('@IdempotentOp()'));

function current(decorator: string): IdempotentOperation {
  const execution = runningExecution.getStore();
  if (execution !== undefined) return execution.operation;
  throw new InvalidOptionsError(
    `${decorator} has no operation to give, because the method is not decorated with @Idempotent(). Add @Idempotent() to it, or remove the parameter.`,
  );
}
