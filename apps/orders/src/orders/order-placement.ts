import { Injectable } from '@nestjs/common';
import { Outbox } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import type { EntityManager } from 'typeorm';
import { CrashPoints } from '../crash/crash-points.js';
import { OperationLog } from '../operations/operation-log.js';
import { ORDER_PLACED, aggregateOf, orderPlacedId, placedOrder } from './order-placed.message.js';
import type { Order } from './order.entity.js';
import { OrdersRepository } from './orders.repository.js';
import type { NewOrder } from './orders.repository.js';

/** An order that is placed under a key. */
export type OrderToPlace = NewOrder & { readonly idempotencyKey: string };

/**
 * Placing an order is to write three things: the order, what was commanded, and the message that tells of it. They are there
 * together or not at all. In a `transactional` handler the transaction below is a part of the handler's, which also has
 * the record of the key; without one it stands alone.
 */
@Injectable()
@CrashPoints()
export class OrderPlacement {
  constructor(
    private readonly dataSource: DataSource,
    private readonly orders: OrdersRepository,
    private readonly log: OperationLog,
    private readonly outbox: Outbox,
  ) {}

  /** `undefined` when the id, or the user's key, is taken: then whoever took it has said all three. */
  async place(order: OrderToPlace): Promise<Order | undefined> {
    return this.dataSource.transaction(async (manager) => this.placeIn(manager, order));
  }

  private async placeIn(manager: EntityManager, order: OrderToPlace): Promise<Order | undefined> {
    const placed = await this.orders.insert(order, manager);
    if (!placed) return undefined;
    await this.logCommand(manager, order);
    await this.tell(manager, placed);
    return placed;
  }

  private async logCommand(manager: EntityManager, order: OrderToPlace): Promise<void> {
    const { userId, idempotencyKey, items, note } = order;
    const content = { items, note };
    await this.log.append(manager, { userId, command: 'place-order', idempotencyKey, content });
  }

  /** From here on it is the outbox' business: stock and mail come of it, after the commit. */
  private async tell(manager: EntityManager, order: Order): Promise<void> {
    const { id } = order;
    const message = {
      pattern: ORDER_PLACED,
      id: orderPlacedId(id),
      aggregate: aggregateOf(id),
      payload: placedOrder(order),
    };
    await this.outbox.add(message, { manager });
  }
}
