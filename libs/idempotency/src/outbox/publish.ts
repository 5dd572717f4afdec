import { lastValueFrom, type Observable } from 'rxjs';
import { IdempotencyError } from '../core/errors.js';
import type { OutboxMessage } from '../typeorm/outbox/message.js';

/**
 * Sends a message on its way, and ends when whoever takes it answers for it: its promise, or the Observable that it returns. What
 * it throws is tried again; an `OutboxMessageRefusedError` is not.
 *
 * `signal` aborts when `publishTimeout` is over: the message counts as not sent then, and is sent again.
 */
export type PublishOutboxMessage = (
  message: OutboxMessage,
  context: { readonly signal: AbortSignal },
) => unknown;

/** As much of a `ClientProxy` of `@nestjs/microservices` as the outbox needs. */
export interface OutboxClient {
  emit(pattern: string, packet: unknown): Observable<unknown>;
}

/** What is emitted unless `toPacket` says otherwise: `messageKey('id')` finds the key in it. */
export interface OutboxEnvelope {
  readonly id: string;
  readonly correlationId: string;
  /** Only where the message has some. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The message's payload. */
  readonly data: unknown;
}

/** Thrown by whoever publishes: no try will ever send this message. It is a dead letter at once. */
export class OutboxMessageRefusedError extends IdempotencyError {
  override readonly code = 'message-refused';
}

/** Also of another copy of the package. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === 'message-refused';
}

export function envelopeOf({ id, correlationId, headers, payload }: OutboxMessage): OutboxEnvelope {
  const sent = Object.keys(headers).length > 0 ? { headers } : {};
  return { id, correlationId, ...sent, data: payload };
}

/** By `client.emit()`, whose completion says what the transport knows of the message by then. */
export function publishBy(
  client: OutboxClient,
  toPacket: (message: OutboxMessage) => unknown,
): PublishOutboxMessage {
  return async (message) => {
    const packet = await toPacket(message);
    await lastValueFrom(client.emit(message.pattern, packet), { defaultValue: undefined });
  };
}
