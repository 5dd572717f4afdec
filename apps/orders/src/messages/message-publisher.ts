import { Inject, Injectable } from '@nestjs/common';
import { OutboxMessageRefusedError } from 'nestjs-idempotent/typeorm';
import type { OutboxMessage } from 'nestjs-idempotent/typeorm';
import { lastValueFrom } from 'rxjs';
import { CrashPoints } from '../crash/crash-points.js';
import { EventFailedError } from './in-process/event-failed.error.js';
import { MESSAGE_TRANSPORT } from './transport.js';
import type { MessageTransport } from './transport.js';

/** The way of a message from the outbox to the transport. */
@Injectable()
@CrashPoints()
export class MessagePublisher {
  constructor(@Inject(MESSAGE_TRANSPORT) private readonly transport: MessageTransport) {}

  /**
   * Resolves when the message is in other hands: the broker's, or, inside the process, through all of its consumers.
   *
   * @throws OutboxMessageRefusedError when no further try can mend it; anything else is tried again
   */
  async publish(message: OutboxMessage): Promise<void> {
    try {
      await this.emit(message);
    } catch (error) {
      if (error instanceof EventFailedError && error.isFinal)
        throw new OutboxMessageRefusedError(error.message, { cause: error });
      throw error;
    }
  }

  private async emit({ id, correlationId, pattern, payload }: OutboxMessage): Promise<void> {
    const sent = this.transport.client.emit(pattern, { id, correlationId, data: payload });
    await lastValueFrom(sent, { defaultValue: undefined });
  }
}
