import { Controller, UsePipes } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Idempotent, IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';
import { messagePipe } from '../messages/message-pipe.js';
import { ONCE_PER_MESSAGE } from '../messages/once-per-message.js';
import { ORDER_PLACED, OrderPlacedMessage } from '../orders/order-placed.message.js';
import { Mailer } from './mailer.js';
import { mailFor } from './order-mail.js';

@Controller()
@UsePipes(messagePipe())
export class MailConsumer {
  constructor(private readonly mailer: Mailer) {}

  /**
   * A mail is outside of the database: a step, and a key for whoever sends it. After a crash behind the step nothing is sent
   * again; after one inside it the mailer knows the key.
   */
  @EventPattern<string>(ORDER_PLACED)
  // Not transactional: a finished step is finished for good, and there is nothing to commit with it.
  @Idempotent({ ...ONCE_PER_MESSAGE, operation: 'mail.order-placed', transactional: false })
  async confirm(
    @Payload() { data }: OrderPlacedMessage,
    @IdempotentOp() op: IdempotentOperation,
  ): Promise<void> {
    await op.step('send', async () =>
      this.mailer.send(mailFor(data), { idempotencyKey: op.deriveKey('send') }),
    );
  }
}
