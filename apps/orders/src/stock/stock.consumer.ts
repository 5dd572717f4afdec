import { Controller, UsePipes } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Idempotent } from 'nestjs-idempotent';
import { messagePipe } from '../messages/message-pipe.js';
import { ONCE_PER_MESSAGE } from '../messages/once-per-message.js';
import { ORDER_PLACED, OrderPlacedMessage } from '../orders/order-placed.message.js';
import { StockRepository } from './stock.repository.js';

/**
 * By the module's default it is `transactional`: the moves and the record of the message are committed together, so a message
 * that is delivered twice moves nothing twice.
 */
@Controller()
@UsePipes(messagePipe())
export class StockConsumer {
  constructor(private readonly stock: StockRepository) {}

  @EventPattern<string>(ORDER_PLACED)
  @Idempotent({ ...ONCE_PER_MESSAGE, operation: 'stock.reserve' })
  async reserve(@Payload() { data }: OrderPlacedMessage): Promise<void> {
    await this.stock.takeFor(data.orderId, data.items);
  }
}
