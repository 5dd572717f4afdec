import type { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import { decoratedMethods, nameOf } from './decorated-methods.js';

/** `@Idempotent()` is used, and nobody has imported `IdempotencyModule.forRoot()`. */
export function missingModule(modules: ModulesContainer | undefined): InvalidOptionsError {
  const [first] = modules === undefined ? [] : decoratedMethods(modules);
  const where = first ? ` on ${nameOf(first)}` : '';
  return new InvalidOptionsError(
    `@Idempotent()${where} has no storage. Add IdempotencyModule.forRoot({ storage: redisStorage({ url }) }) to AppModule.`,
  );
}
