import { Body, Controller, Param, Post } from '@nestjs/common';
import { Idempotent, IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';
import { OrderIdPipe } from '../orders/order-id.pipe.js';
import { CurrentUser } from '../users/current-user.decorator.js';
import type { User } from '../users/user.js';
import { CreatePaymentDto } from './dto/create-payment.dto.js';
import type { PaymentView } from './dto/payment.view.js';
import { DocumentPayments } from './payments.openapi.js';
import { PaymentsService } from './payments.service.js';

@Controller('orders/:id/payments')
export class PaymentsController {
  constructor(private readonly payments: PaymentsService) {}

  @Post()
  // Not transactional: a finished step is finished for good, so nothing may roll back what it has written.
  @Idempotent({ ttl: '24h', transactional: false })
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
