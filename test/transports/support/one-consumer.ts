import { Controller, type Type } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import {
  Idempotent,
  IdempotencyKey,
  IdempotentOp,
  IdempotentOperation,
  messageKey,
  type IdempotentOptions,
} from 'nestjs-idempotent';

export type Handle = (data: Message, op: IdempotentOperation, key: string) => unknown;
export interface Message {
  readonly id?: unknown;
  readonly sku?: string;
}

/** A controller with the message `orders.create` and the event `orders.created`, whose key is the member `id`. */
export function consumer(handle: Handle, options: IdempotentOptions = {}): Type {
  const given = { key: messageKey('id'), ...options };

  @Controller()
  class Consumer {
    @MessagePattern('orders.create')
    @Idempotent(given)
    create(
      @Payload() data: Message,
      @Ctx() _context: unknown,
      @IdempotentOp() op: IdempotentOperation,
      @IdempotencyKey() key: string,
    ) {
      return handle(data, op, key);
    }

    @Idempotent(given)
    @EventPattern<string>('orders.created')
    created(
      @Payload() data: Message,
      @IdempotentOp() op: IdempotentOperation,
      @IdempotencyKey() key: string,
    ) {
      return handle(data, op, key);
    }
  }
  return Consumer;
}
