import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { DataSource, Repository } from 'typeorm';
import type { EntityManager } from 'typeorm';
import { CrashPoints } from '../crash/crash-points.js';
import { Order } from '../orders/order.entity.js';
import { Payment } from './payment.entity.js';

export interface PaidOrder {
  readonly orderId: string;
  readonly userId: string;
  /** The version whose total was charged: an order that has changed since is not paid by it. */
  readonly version: number;
  readonly chargeId: string;
  readonly amount: number;
}

@Injectable()
@CrashPoints()
export class PaymentsRepository {
  constructor(
    @InjectRepository(Payment) private readonly payments: Repository<Payment>,
    private readonly dataSource: DataSource,
  ) {}

  async find(orderId: string): Promise<Payment | null> {
    return this.payments.findOneBy({ orderId });
  }

  /** The order is paid and its payment is there, or neither. `false`: the order is not what it was any more. */
  async markPaid(paid: PaidOrder): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => this.markPaidIn(manager, paid));
  }

  private async markPaidIn(manager: EntityManager, paid: PaidOrder): Promise<boolean> {
    const isAsExpected = await this.updateOrder(manager, paid);
    if (isAsExpected) await this.insertPayment(manager, paid);
    return isAsExpected;
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
}
