import { Controller, type Type } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload, RmqContext } from '@nestjs/microservices';
import {
  Idempotent,
  IdempotentOp,
  IdempotentOperation,
  messageKey,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import type { ConfirmChannel, ConsumeMessage } from 'amqplib';

export interface Delivered {
  readonly data: { readonly id?: string; readonly sku?: string };
  readonly op: IdempotentOperation;
  readonly channel: ConfirmChannel;
  readonly message: ConsumeMessage;
}

export type OnDelivery = (delivered: Delivered) => unknown;

/** What a handler works with by hand. */
function delivered(data: Delivered['data'], context: RmqContext, op: IdempotentOperation): Delivered {
  return {
    data,
    op,
    channel: context.getChannelRef() as ConfirmChannel,
    message: context.getMessage() as ConsumeMessage,
  };
}

/** A consumer of `orders.placed`, with these decorators around its handler, outermost first. */
export function eventConsumer(
  handle: OnDelivery,
  options: IdempotentOptions = {},
  ...around: readonly MethodDecorator[]
): Type {
  @Controller()
  class EventConsumer {
    @Idempotent({ key: messageKey('id'), ...options })
    @EventPattern<string>('orders.placed')
    placed(
      @Payload() data: Delivered['data'],
      @Ctx() context: RmqContext,
      @IdempotentOp() op: IdempotentOperation,
    ): unknown {
      return handle(delivered(data, context, op));
    }
  }
  decorate(EventConsumer, 'placed', around);
  return EventConsumer;
}

/** Answers requests `orders.check`. */
export function requestConsumer(handle: OnDelivery, options: IdempotentOptions = {}): Type {
  @Controller()
  class RequestConsumer {
    @MessagePattern('orders.check')
    @Idempotent({ key: messageKey('id'), ...options })
    check(
      @Payload() data: Delivered['data'],
      @Ctx() context: RmqContext,
      @IdempotentOp() op: IdempotentOperation,
    ): unknown {
      return handle(delivered(data, context, op));
    }
  }
  return RequestConsumer;
}

/** A consumer of the same event that is not decorated, and acknowledges by itself. */
export function plainConsumer(handle: (channel: ConfirmChannel, message: ConsumeMessage) => unknown): Type {
  @Controller()
  class PlainConsumer {
    @EventPattern<string>('orders.placed')
    placed(@Payload() _data: unknown, @Ctx() context: RmqContext): unknown {
      return handle(context.getChannelRef() as ConfirmChannel, context.getMessage() as ConsumeMessage);
    }
  }
  return PlainConsumer;
}

function decorate({ prototype }: Type, name: string, decorators: readonly MethodDecorator[]): void {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
  if (descriptor === undefined) throw new Error(`there is no ${name}`);
  for (const decorator of [...decorators].reverse()) decorator(prototype as object, name, descriptor);
  Object.defineProperty(prototype, name, descriptor);
}
