import { Injectable } from '@nestjs/common';
import { IdempotencyService } from 'nestjs-idempotent';
import type { IdempotentOperation } from 'nestjs-idempotent';
import { Problem } from '../../../shared/src/problems/problem.js';
import { CrashPoints } from '../crash/crash-points.js';
import type { Order } from '../orders/order.entity.js';
import { OrdersRepository } from '../orders/orders.repository.js';
import { RunLog } from '../runs/run-log.js';
import type { CreatePaymentDto } from './dto/create-payment.dto.js';
import type { PaymentView } from './dto/payment.view.js';
import { PaymentGateway } from './gateway/payment-gateway.js';
import type { ChargeRequest } from './gateway/payment-gateway.js';
import { PaymentsRepository } from './payments.repository.js';
import type { PaidOrder } from './payments.repository.js';

/** Longer than the slowest card takes. */
const LOCK_WAIT = '5s';

/** What may be paid: this version of the order, and no later one. */
interface Payable {
  readonly version: number;
}

@Injectable()
@CrashPoints()
export class PaymentsService {
  constructor(
    private readonly orders: OrdersRepository,
    private readonly payments: PaymentsRepository,
    private readonly gateway: PaymentGateway,
    private readonly runs: RunLog,
    private readonly idempotency: IdempotencyService,
  ) {}

  /** One payment of a user at a time, whatever the keys: two clicks with two keys must not both find the order unpaid. */
  async pay(
    userId: string,
    orderId: string,
    dto: CreatePaymentDto,
    op: IdempotentOperation,
  ): Promise<PaymentView> {
    await this.runs.add({ operation: 'pay', userId, orderId });
    return this.idempotency.withLock(`payments:${userId}`, { wait: LOCK_WAIT }, async () =>
      this.payAlone(userId, orderId, dto, op),
    );
  }

  /**
   * Three steps, each of them kept with the record: the run after a crash goes on behind the last one. That is why even the
   * look at the order is a step. Looked at anew it may be paid, by this very operation, or cancelled after the charge, and
   * the run would end before it came to the charge that it has to take back.
   */
  private async payAlone(
    userId: string,
    orderId: string,
    { amount, card }: CreatePaymentDto,
    op: IdempotentOperation,
  ): Promise<PaymentView> {
    const { version } = await op.step('check', async () => this.check(userId, orderId, amount));
    const chargeId = await op.step(
      'charge',
      async () => this.charge({ amount, card, reference: orderId }, op),
      { undo: async (id) => this.gateway.refund(id, { idempotencyKey: op.deriveKey('refund') }) },
    );
    const idempotencyKey = op.key as string; // the route needs one
    const paid: PaidOrder = { orderId, userId, version, chargeId, amount, idempotencyKey };
    return op.step('mark-paid', async () => this.markPaid(paid));
  }

  /** Before any money moves. */
  private async check(userId: string, orderId: string, amount: number): Promise<Payable> {
    const order = await this.orders.find(orderId, userId);
    if (!order) throw notFound(orderId);
    if (order.status !== 'pending') throw notPayable(order);
    if (order.total !== amount) throw amountMismatch(order, amount);
    return { version: order.version };
  }

  private async charge(request: ChargeRequest, op: IdempotentOperation): Promise<string> {
    const call = { idempotencyKey: op.deriveKey('charge'), signal: op.signal };
    const charge = await this.gateway.charge(request, call);
    return charge.id;
  }

  private async markPaid(paid: PaidOrder): Promise<PaymentView> {
    const { orderId, userId, chargeId, amount } = paid;
    const marked = await this.payments.markPaid(paid);
    if (!marked) {
      const payment = await this.payments.find(orderId);
      // Ours: an earlier run had come this far and could not tell any more.
      if (payment?.chargeId !== chargeId) {
        const order = await this.orders.find(orderId, userId);
        throw changedMeanwhile(orderId, order);
      }
    }
    return { orderId, chargeId, amount, status: 'paid' };
  }
}

const notFound = (id: string): Problem => new Problem(404, 'order-not-found', `You have no order ${id}.`);

function notPayable({ id, status }: Order): Problem {
  return status === 'paid'
    ? new Problem(409, 'already-paid', `Order ${id} is paid. Nothing was charged now.`)
    : new Problem(
        409,
        'order-closed',
        `Order ${id} is ${status}, so it cannot be paid. Nothing was charged.`,
      );
}

const amountMismatch = ({ id, total }: Order, amount: number): Problem =>
  new Problem(
    422,
    'amount-mismatch',
    `Order ${id} costs ${total}, not ${amount}. Nothing was charged. Read the order again, and pay what it costs with a new Idempotency-Key.`,
  );

/** Thrown after the charge: it is kept, so the refund runs. */
function changedMeanwhile(id: string, order: Order | null): Problem {
  const state = !order ? 'deleted' : order.status === 'pending' ? 'changed' : order.status;
  return new Problem(
    409,
    order?.status === 'pending' ? 'order-changed' : 'order-closed',
    `Order ${id} was ${state} while it was being paid. The charge is given back. Read the order again, and pay it with a new Idempotency-Key if it still stands.`,
  );
}
