import { Controller } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Idempotent, IdempotentOp, messageKey, type IdempotentOperation } from 'nestjs-idempotent';
import { Effects, type OrderPlaced } from './effects.js';
import { passing, say } from './held-points.js';

/** Its effect is in the database of the records, and commits with its record. */
@Controller()
export class StockConsumer {
  constructor(private readonly effects: Effects) {}

  @EventPattern<string>('orders.placed')
  @Idempotent({ key: messageKey('id'), operation: 'reserve stock', transactional: true })
  reserve(@Payload() message: OrderPlaced): Promise<void> {
    return this.effects.reserve(message);
  }
}

/** Its effect is outside: a step, and a key that is the same in every attempt. */
@Controller()
export class MailConsumer {
  constructor(private readonly effects: Effects) {}

  @EventPattern<string>('orders.placed')
  @Idempotent({ key: messageKey('id'), operation: 'send mail' })
  async send(@Payload() message: OrderPlaced, @IdempotentOp() op: IdempotentOperation): Promise<void> {
    say('ran mail');
    await op.step('send', () => this.effects.send(message, op.deriveKey('send')));
    await passing('step saved');
  }
}
