import { Mailer, Orders, type NewOrder, type Order } from '../support/orders.js';

import { Command, CommandHandler, EventBus, EventsHandler } from '@nestjs/cqrs';
import type { ICommandHandler, IEventHandler } from '@nestjs/cqrs';
import { IdempotencyService } from 'nestjs-idempotent';

/** `id` is made by whoever wants it done, once, and sent again with each retry. */
export class PlaceOrder extends Command<Order> {
  constructor(
    readonly id: string,
    readonly order: NewOrder,
  ) {
    super();
  }
}

export class OrderPlaced {
  constructor(
    readonly id: string,
    readonly order: Order,
  ) {}
}

@CommandHandler(PlaceOrder)
export class PlaceOrderHandler implements ICommandHandler<PlaceOrder> {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly orders: Orders,
    private readonly events: EventBus,
  ) {}

  async execute({ id, order }: PlaceOrder): Promise<Order> {
    const { value } = await this.idempotency.run(
      { operation: 'PlaceOrder', key: id, fingerprint: order, inFlight: 'wait', transactional: true },
      () => this.orders.insert(order),
    );
    // Outside of the work, so also when it was done before: the process may have died between the commit and this line.
    this.events.publish(new OrderPlaced(id, value));
    return value;
  }
}

@EventsHandler(OrderPlaced)
export class ConfirmOrder implements IEventHandler<OrderPlaced> {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly mailer: Mailer,
  ) {}

  async handle({ id, order }: OrderPlaced): Promise<void> {
    await this.idempotency.run({ operation: 'ConfirmOrder', key: id, inFlight: 'wait' }, (op) =>
      this.mailer.send(order, op.deriveKey('mail')),
    );
  }
}
