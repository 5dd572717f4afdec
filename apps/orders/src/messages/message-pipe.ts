import { ValidationPipe } from '@nestjs/common';
import { sentencesOf } from '../problems/validation.js';
import { MessageRefusedError } from './message-refused.js';

/**
 * Checks what a consumer gets by the class of its parameter. A sender of a later version may say more, which is dropped; one
 * that says less, or something else, is refused for good.
 */
export function messagePipe(): ValidationPipe {
  return new ValidationPipe({
    transform: true,
    whitelist: true,
    exceptionFactory: (errors) => new MessageRefusedError(errors.flatMap((error) => sentencesOf(error))),
  });
}
