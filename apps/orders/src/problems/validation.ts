import { ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { Problem } from '../../../shared/src/problems/problem.js';

/** Fields that a body class does not name are dropped; what it names is checked. */
export function validationPipe(): ValidationPipe {
  return new ValidationPipe({
    transform: true,
    whitelist: true,
    exceptionFactory: (errors) =>
      new Problem(400, 'invalid-request', 'The request is not as it should be; `errors` says where.', {
        errors: errors.flatMap((error) => sentencesOf(error)),
      }),
  });
}

/** `items.0.quantity must not be less than 1`: class-validator's sentence, which starts with the field, and the way there. */
export function sentencesOf({ property, constraints, children }: ValidationError, way = ''): string[] {
  const own = Object.values(constraints ?? {}).map((sentence) => way + sentence);
  return [...own, ...(children ?? []).flatMap((child) => sentencesOf(child, `${way}${property}.`))];
}
