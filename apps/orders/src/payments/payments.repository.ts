import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { DataSource, Repository } from 'typeorm';
import type { EntityManager } from 'typeorm';
import { CrashPoints } from '../crash/crash-points.js';
import { OperationLog } from '../operations/operation-log.js';
import { Order } from '../orders/order.entity.js';
import { Payment } from './payment.entity.js';

export interface PaidOrder {
  readonly orderId: string;
  readonly userId: string;
  /** The version whose total was charged: an order that has changed since is not paid by it. */
  readonly version: number;
  readonly chargeId: string;
  readonly amount: number;
  /** Under which the payment was sent. */
  readonly idempotencyKey: string;
}

@Injectable()
@CrashPoints()
export class PaymentsRepository {
  constructor(
    @InjectRepository(Payment) private readonly payments: Repository<Payment>,
    private readonly dataSource: DataSource,
    private readonly log: OperationLog,
  ) {}

  async find(orderId: string): Promise<Payment | null> {
    return this.payments.findOneBy({ orderId });
  }

  /** The order is paid, its payment is there and the command is in the log, or none of it. `false`: the order is not what it was any more. */
  async markPaid(paid: PaidOrder): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => this.markPaidIn(manager, paid));
  }

  private async markPaidIn(manager: EntityManager, paid: PaidOrder): Promise<boolean> {
    const isAsExpected = await this.updateOrder(manager, paid);
    if (!isAsExpected) return false;
    await this.insertPayment(manager, paid);
    await this.logCommand(manager, paid);
    return true;
  }

  private async updateOrder(
    manager: EntityManager,
    { orderId, userId, version }: PaidOrder,
  ): Promise<boolean> {
    const { affected } = await manager.update(
      Order,
      { id: orderId, userId, version, status: 'pending' },
      { status: 'paid', updatedAt: new Date() },
    );
    return affected === 1;
  }

  private async insertPayment(
    manager: EntityManager,
    { orderId, chargeId, amount }: PaidOrder,
  ): Promise<void> {
    await manager.insert(Payment, { orderId, chargeId, amount });
  }

  private async logCommand(manager: EntityManager, paid: PaidOrder): Promise<void> {
    const { userId, idempotencyKey, orderId, amount } = paid;
    const content = { orderId, amount };
    await this.log.append(manager, { userId, command: 'pay-order', idempotencyKey, content });
  }
}
