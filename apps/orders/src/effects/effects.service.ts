import { Injectable } from '@nestjs/common';
import { Outbox } from 'nestjs-idempotent/typeorm';
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../../../shared/src/problems/problem.js';
import { Mailer } from '../mail/mailer.js';
import { aggregateOf } from '../orders/order-placed.message.js';
import { OrdersRepository } from '../orders/orders.repository.js';
import { PaymentGateway } from '../payments/gateway/payment-gateway.js';
import { RunLog } from '../runs/run-log.js';
import { StockRepository } from '../stock/stock.repository.js';
import type { EffectsView } from './effects.view.js';

/** Stock and mail follow the answer to an order in a few milliseconds; who looks at once is made to wait for them. */
const PATIENCE_MS = 2_000;
const LOOK_EVERY_MS = 10;

/** Looks at what has happened, not at what should have: nothing here reads an idempotency record. */
@Injectable()
export class EffectsService {
  constructor(
    private readonly orders: OrdersRepository,
    private readonly stock: StockRepository,
    private readonly mailer: Mailer,
    private readonly gateway: PaymentGateway,
    private readonly runs: RunLog,
    private readonly outbox: Outbox,
  ) {}

  async of(userId: string, id: string): Promise<EffectsView> {
    const order = await this.orders.find(id, userId);
    if (!order) throw new Problem(404, 'order-not-found', `You have no order ${id}.`);
    await this.messagesHaveLeft(id);
    const [orders, charges, emails, stockMoves, runs] = await Promise.all([
      this.orders.countUnderKeyOf(order),
      this.gateway.chargesFor(id),
      this.mailer.countFor(id),
      this.stock.countFor(id),
      this.runs.countFor(order),
    ]);
    const kept = charges.filter(({ status }) => status === 'succeeded');
    return { orders, charges: kept.length, emails, stockMoves, runs };
  }

  /** Inside the process a message has left the outbox when its consumers are through; over a broker, when that has it. */
  private async messagesHaveLeft(id: string): Promise<void> {
    const giveUpAt = performance.now() + PATIENCE_MS;
    while ((await this.outbox.undelivered(aggregateOf(id))) > 0 && performance.now() < giveUpAt)
      await sleep(LOOK_EVERY_MS);
  }
}
