import { Body, Controller, Param, Post } from '@nestjs/common';
import { Idempotent, IdempotencyException, IdempotentOp, defaultRecordPolicy } from 'nestjs-idempotent';
import { IdempotentOperation } from 'nestjs-idempotent';
import type { RecordPolicy } from 'nestjs-idempotent';
import { OrderIdPipe } from '../orders/order-id.pipe.js';
import { CurrentUser } from '../users/current-user.decorator.js';
import type { User } from '../users/user.js';
import { CreatePaymentDto } from './dto/create-payment.dto.js';
import type { PaymentView } from './dto/payment.view.js';
import { DocumentPayments } from './payments.openapi.js';
import { PaymentsService } from './payments.service.js';

/** That another payment of the same user was running is no final answer: the retry runs. */
const keepUnlessLocked: RecordPolicy = (outcome) => {
  const { error } = outcome;
  return error instanceof IdempotencyException && error.code === 'lock-held'
    ? 'release'
    : defaultRecordPolicy(outcome);
};

@Controller('orders/:id/payments')
export class PaymentsController {
  constructor(private readonly payments: PaymentsService) {}

  @Post()
  // Not transactional: what a card was charged for must not be rolled back and forgotten.
  @Idempotent({ ttl: '24h', transactional: false, record: keepUnlessLocked })
  @DocumentPayments()
  async pay(
    @CurrentUser() user: User,
    @Param('id', OrderIdPipe) orderId: string,
    @Body() dto: CreatePaymentDto,
    @IdempotentOp() op: IdempotentOperation,
  ): Promise<PaymentView> {
    return this.payments.pay(user.id, orderId, dto, op);
  }
}
