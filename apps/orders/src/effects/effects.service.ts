import { Injectable } from '@nestjs/common';
import { Problem } from '../../../shared/src/problems/problem.js';
import { OrdersRepository } from '../orders/orders.repository.js';
import { PaymentGateway } from '../payments/gateway/payment-gateway.js';
import { RunLog } from '../runs/run-log.js';
import { StockRepository } from '../stock/stock.repository.js';
import type { EffectsView } from './effects.view.js';

/** Looks at what has happened, not at what should have: nothing here reads an idempotency record. */
@Injectable()
export class EffectsService {
  constructor(
    private readonly orders: OrdersRepository,
    private readonly stock: StockRepository,
    private readonly gateway: PaymentGateway,
    private readonly runs: RunLog,
  ) {}

  async of(userId: string, id: string): Promise<EffectsView> {
    const order = await this.orders.find(id, userId);
    if (!order) throw new Problem(404, 'order-not-found', `You have no order ${id}.`);
    const [orders, charges, stockMoves, runs] = await Promise.all([
      this.orders.countUnderKeyOf(order),
      this.gateway.chargesFor(id),
      this.stock.countFor(id),
      this.runs.countFor(order),
    ]);
    const kept = charges.filter(({ status }) => status === 'succeeded');
    return { orders, charges: kept.length, emails: 0, stockMoves, runs };
  }
}
