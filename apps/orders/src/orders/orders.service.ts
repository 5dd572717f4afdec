import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { ExpectedVersion } from 'nestjs-idempotent';
import { Problem } from '../../../shared/src/problems/problem.js';
import { CrashPoints } from '../crash/crash-points.js';
import { CheckoutTokens } from '../checkout/checkout-tokens.js';
import { RunLog } from '../runs/run-log.js';
import type { ChangeOrderDto } from './dto/change-order.dto.js';
import type { CreateOrderDto } from './dto/create-order.dto.js';
import type { OrderItemDto } from './dto/order-item.dto.js';
import { OrderPlacement } from './order-placement.js';
import type { Order, OrderItem } from './order.entity.js';
import { OrdersRepository } from './orders.repository.js';
import type { OrderChange, OrderCondition } from './orders.repository.js';

/** Which version a change is meant for; undefined when the request does not say. */
type Expected = ExpectedVersion | undefined;

@Injectable()
@CrashPoints()
export class OrdersService {
  constructor(
    private readonly orders: OrdersRepository,
    private readonly placement: OrderPlacement,
    private readonly runs: RunLog,
    private readonly tokens: CheckoutTokens,
  ) {}

  /** Stock and mail follow from the message that is kept with the order. */
  async place(userId: string, dto: CreateOrderDto, idempotencyKey: string): Promise<Order> {
    this.tokens.check(idempotencyKey, userId);
    await this.runs.add({ operation: 'place', userId, idempotencyKey });
    return this.placeOnce(userId, dto, idempotencyKey);
  }

  private async placeOnce(userId: string, dto: CreateOrderDto, idempotencyKey: string): Promise<Order> {
    const content = contentOf(dto);
    for (;;) {
      const order = await this.placement.place({ id: randomUUID(), userId, idempotencyKey, ...content });
      if (order) return order;
      // The key is taken, so this request got past the idempotency records: they were lost, or their ttl is over.
      const earlier = await this.orders.findByKey(userId, idempotencyKey);
      if (earlier) return sameOrder(earlier, content);
      // Deleted between the two statements: then the key is free again.
    }
  }

  list(userId: string, limit: number, offset: number): Promise<Order[]> {
    return this.orders.list(userId, limit, offset);
  }

  async get(userId: string, id: string): Promise<Order> {
    const order = await this.orders.find(id, userId);
    if (!order) throw notFound(id);
    return order;
  }

  /** Creates or replaces, whichever it takes for the order to be as sent. */
  async put(
    userId: string,
    id: string,
    dto: CreateOrderDto,
    expected: Expected,
  ): Promise<{ order: Order; created: boolean }> {
    const content = contentOf(dto);
    if (expected === undefined) {
      const order = await this.orders.insert({ id, userId, idempotencyKey: null, ...content });
      if (order) return { order, created: true };
    }
    const missing = expected === undefined ? notFound(id) : gone(id);
    return { order: await this.update(userId, id, content, expected, missing), created: false };
  }

  async change(userId: string, id: string, dto: ChangeOrderDto, expected: Expected): Promise<Order> {
    const change: OrderChange = {
      ...(dto.items && pricedItems(dto.items)),
      ...(dto.note !== undefined && { note: dto.note }),
      ...(dto.status && { status: dto.status }),
    };
    if (Object.keys(change).length === 0) {
      throw new Problem(400, 'nothing-to-change', 'Send at least one of `items`, `note` and `status`.');
    }
    return this.update(userId, id, change, expected);
  }

  /** A version is optional here: nobody deletes an order in order to keep a part of it. */
  async remove(userId: string, id: string, expected: Expected): Promise<void> {
    if (await this.orders.remove(conditionOf(userId, id, expected))) return;
    const present = expected === undefined ? null : await this.orders.find(id, userId);
    throw refusal(present, expected, notFound(id));
  }

  private async update(
    userId: string,
    id: string,
    change: OrderChange,
    expected: Expected,
    missing = notFound(id),
  ): Promise<Order> {
    if (expected !== undefined) {
      const order = await this.orders.update(
        { ...conditionOf(userId, id, expected), status: 'pending' },
        change,
      );
      if (order) return order;
    }
    throw refusal(await this.orders.find(id, userId), expected, missing);
  }
}

function conditionOf(userId: string, id: string, expected: Expected): OrderCondition {
  return { id, userId, ...(typeof expected === 'number' && { version: expected }) };
}

function contentOf({ items, note }: CreateOrderDto): Pick<Order, 'items' | 'total' | 'note'> {
  return { ...pricedItems(items), note: note ?? null };
}

function pricedItems(dtos: readonly OrderItemDto[]): { items: OrderItem[]; total: number } {
  const items = dtos.map(({ sku, quantity, unitPrice }) => ({ sku, quantity, unitPrice }));
  return { items, total: items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0) };
}

/**
 * The same answer as the first time. An order that was never changed shows whether the key was first used for
 * something else; then this order would be the wrong answer, and a loud one is better.
 */
function sameOrder(earlier: Order, content: Pick<Order, 'items' | 'note'>): Order {
  const { items, note } = earlier;
  if (
    earlier.version > 1 ||
    isDeepStrictEqual({ items, note }, { items: content.items, note: content.note })
  ) {
    return earlier;
  }
  throw new Problem(
    422,
    'key-reused',
    `This Idempotency-Key was first used for another order, ${earlier.id}. Use a new key for a new order.`,
  );
}

const notFound = (id: string): Problem => new Problem(404, 'order-not-found', `You have no order ${id}.`);

/** Somebody deleted it. To make it anew under the same id would undo that behind their back. */
const gone = (id: string): Problem =>
  new Problem(412, 'version-conflict', `You have no order ${id}, so there is no version of it to replace.`);

/** Why no row was changed: the most basic reason first. */
function refusal(present: Order | null, expected: Expected, missing: Problem): Problem {
  if (!present) return missing;
  const { id, status, version } = present;
  if (expected === undefined) {
    return new Problem(
      428,
      'version-missing',
      `Order ${id} exists. Say which version you have seen: \`version\` in the body, or If-Match with the ETag of its last answer.`,
    );
  }
  if (typeof expected === 'number' && version !== expected) {
    return new Problem(
      412,
      'version-conflict',
      `Order ${id} has changed: it is at version ${version} now. Read it again, then decide whether your change still holds.`,
    );
  }
  return new Problem(409, 'order-closed', `Order ${id} is ${status} and does not change any more.`);
}
