import { Type } from 'class-transformer';
import { IsInt, IsObject, IsOptional, IsString, IsUUID, Min, ValidateNested } from 'class-validator';
import { Items } from './dto/order-fields.js';
import type { OrderItemDto } from './dto/order-item.dto.js';
import type { Order } from './order.entity.js';

/** Said once for each order that `POST /orders` has made. */
export const ORDER_PLACED = 'orders.placed';

/** What the message says: all that its consumers need, since the order may have changed, or be gone, when they read it. */
export class PlacedOrder {
  @IsUUID()
  orderId!: string;

  @IsString()
  userId!: string;

  @Items()
  items!: OrderItemDto[];

  /** In minor units, as it was when the order was placed. */
  @IsInt()
  @Min(0)
  total!: number;

  @IsOptional()
  @IsString()
  note?: string | null;
}

/** The message as consumers get it, from the outbox and over whatever transport. */
export class OrderPlacedMessage {
  /** The same on every delivery: the consumers' key. */
  @IsString()
  id!: string;

  /** Ties it to the request that placed the order. */
  @IsString()
  correlationId!: string;

  @IsObject()
  @ValidateNested()
  @Type(() => PlacedOrder)
  data!: PlacedOrder;
}

/** One order has one of these, however often it is said: so the id is the order's. */
export const orderPlacedId = (orderId: string): string => `${ORDER_PLACED}:${orderId}`;

/** Messages about one order are delivered in their order. */
export const aggregateOf = (orderId: string): string => `order:${orderId}`;

export function placedOrder({ id, userId, items, total, note }: Order): PlacedOrder {
  return { orderId: id, userId, items: items.map((item) => ({ ...item })), total, note };
}
