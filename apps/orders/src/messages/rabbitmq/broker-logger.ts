import { Logger } from '@nestjs/common';
import { reasonOf } from './reason.js';

/** Nest tells a lost connection in two parts, the second of which is an object with a stack. A line says as much. */
export class BrokerLogger extends Logger {
  override error(message: unknown): void {
    super.warn(reasonOf(message));
  }
}
