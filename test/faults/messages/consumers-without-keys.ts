import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, Payload, RmqContext } from '@nestjs/microservices';
import type { Channel, ConsumeMessage } from 'amqplib';
import { Effects, type OrderPlaced } from './effects.js';
import { say } from './held-points.js';

const CONSUMERS = 2;
const through = new WeakMap<ConsumeMessage, number>();

/** Both get the same delivery, and the last one acknowledges it: after its effect, as careful consumers do. */
function acknowledge(context: RmqContext): void {
  const message = context.getMessage() as ConsumeMessage;
  const count = (through.get(message) ?? 0) + 1;
  through.set(message, count);
  if (count === CONSUMERS) (context.getChannelRef() as Channel).ack(message);
}

@Controller()
export class StockConsumerWithoutKeys {
  constructor(private readonly effects: Effects) {}

  @EventPattern<string>('orders.placed')
  async reserve(@Payload() message: OrderPlaced, @Ctx() context: RmqContext): Promise<void> {
    await this.effects.reserve(message);
    acknowledge(context);
  }
}

@Controller()
export class MailConsumerWithoutKeys {
  constructor(private readonly effects: Effects) {}

  @EventPattern<string>('orders.placed')
  async send(@Payload() message: OrderPlaced, @Ctx() context: RmqContext): Promise<void> {
    say('ran mail');
    await this.effects.send(message);
    acknowledge(context);
  }
}
