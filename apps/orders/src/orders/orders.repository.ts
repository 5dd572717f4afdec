import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import type { EntityManager, InsertResult, ObjectLiteral, UpdateResult } from 'typeorm';
import { CrashPoints } from '../crash/crash-points.js';
import { Order } from './order.entity.js';

export type NewOrder = Pick<Order, 'id' | 'userId' | 'items' | 'total' | 'note' | 'idempotencyKey'>;
export type OrderChange = Partial<Pick<Order, 'items' | 'total' | 'note' | 'status'>>;

type Changes = OrderChange & Pick<Order, 'updatedAt'>;

/** Which row, and what must still be true of it at the moment it changes. */
export interface OrderCondition {
  readonly id: string;
  readonly userId: string;
  readonly status?: Order['status'];
  readonly version?: number;
}

/** Every change is one statement: between a look and a change, another request could slip in. */
@Injectable()
@CrashPoints()
export class OrdersRepository {
  constructor(@InjectRepository(Order) private readonly orders: Repository<Order>) {}

  async find(id: string, userId: string): Promise<Order | null> {
    return this.orders.findOneBy({ id, userId });
  }

  async findByKey(userId: string, idempotencyKey: string): Promise<Order | null> {
    return this.orders.findOneBy({ userId, idempotencyKey });
  }

  list(userId: string, limit: number, offset: number): Promise<Order[]> {
    return this.orders.find({
      where: { userId },
      order: { createdAt: 'DESC', id: 'DESC' },
      take: limit,
      skip: offset,
    });
  }

  /**
   * `undefined` when the id, or the user's key, is taken. No error: in a transaction that would end everything.
   *
   * @param manager of the transaction that it is a part of
   */
  async insert(order: NewOrder, manager: EntityManager = this.orders.manager): Promise<Order | undefined> {
    const statement = manager
      .getRepository(Order)
      .createQueryBuilder()
      .insert()
      .values({ ...order, status: 'pending' });
    return this.firstOf(await statement.orIgnore().returning('*').execute());
  }

  /** `undefined` when no row meets the condition. TypeORM raises the version in the same statement. */
  async update(condition: OrderCondition, change: OrderChange): Promise<Order | undefined> {
    const set = { ...change, updatedAt: new Date() };
    const isMariaDb = this.orders.manager.dataSource.options.type === 'mariadb';
    return isMariaDb ? this.updateAndRead(condition, set) : this.updateReturning(condition, set);
  }

  private async updateReturning(condition: OrderCondition, set: Changes): Promise<Order | undefined> {
    const statement = this.orders.createQueryBuilder().update().set(set).where(condition);
    return this.firstOf(await statement.returning('*').execute());
  }

  /** MariaDB's `update` returns nothing, so the row is read before anybody else may change it. */
  private async updateAndRead(condition: OrderCondition, set: Changes): Promise<Order | undefined> {
    return this.orders.manager.transaction(async (manager) => {
      const { affected } = await manager.update(Order, { ...condition }, set);
      if (affected !== 1) return undefined;
      return (await manager.findOneBy(Order, { id: condition.id })) ?? undefined;
    });
  }

  /** How many orders the key of this one has made; an order that was made without a key counts itself. */
  async countUnderKeyOf({ id, userId, idempotencyKey }: Order): Promise<number> {
    return this.orders.countBy(idempotencyKey === null ? { id } : { userId, idempotencyKey });
  }

  async remove(condition: OrderCondition): Promise<boolean> {
    const { affected } = await this.orders.delete({ ...condition });
    return affected === 1;
  }

  /** `returning` gives columns as the driver has them; this is what TypeORM does for rows that it selects. */
  private firstOf(result: InsertResult | UpdateResult): Order | undefined {
    const row = (result.raw as ObjectLiteral[])[0];
    if (!row) return undefined;
    const { driver } = this.orders.manager.dataSource;
    const fields = this.orders.metadata.columns.map((column): [string, unknown] => [
      column.propertyName,
      driver.prepareHydratedValue(row[column.databaseName], column),
    ]);
    return Object.assign(new Order(), Object.fromEntries(fields));
  }
}
