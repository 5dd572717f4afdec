import { applyDecorators } from '@nestjs/common';
import { ApiCreatedResponse, ApiOperation } from '@nestjs/swagger';
import {
  DocumentOrders,
  REPLAYED,
  keyHeader,
  keyProblems,
  missing,
  problem,
} from '../orders/orders.openapi.js';
import { PaymentView } from './dto/payment.view.js';

export const DocumentPayments = (): MethodDecorator =>
  applyDecorators(
    DocumentOrders(),
    ApiOperation({ summary: 'Pay an order' }),
    keyHeader(true),
    ApiCreatedResponse({ type: PaymentView, headers: REPLAYED }),
    problem(400, 'Not a payment, or no Idempotency-Key.'),
    problem(402, 'The bank declines the card.'),
    missing(),
    problem(503, 'The payment service gave no answer. The same request with the same key charges once.'),
    ...keyProblems(
      'A request with this Idempotency-Key is still running, the order is paid, cancelled, or was changed meanwhile.',
      'The amount is not what the order costs, or this Idempotency-Key was first used with a different request.',
    ),
  );
