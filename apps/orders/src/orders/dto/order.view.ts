import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { Order, OrderStatus } from '../order.entity.js';
import { OrderItemDto } from './order-item.dto.js';

/** An order as the owner sees it. */
export class OrderView {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ example: 'ada' })
  userId!: string;

  @ApiProperty({ enum: ['pending', 'paid', 'cancelled'] })
  status!: OrderStatus;

  @ApiProperty({ type: [OrderItemDto] })
  items!: OrderItemDto[];

  @ApiProperty({ type: 'integer', example: 1999, description: 'In minor units.' })
  total!: number;

  @ApiPropertyOptional({ description: 'Absent when there is none.' })
  note?: string;

  @ApiProperty({ type: 'integer', example: 1, description: 'Also in the ETag.' })
  version!: number;

  @ApiProperty({ format: 'date-time' })
  createdAt!: Date;
}

export function viewOf(order: Order): OrderView {
  const { id, userId, status, items, total, note, version, createdAt } = order;
  return { id, userId, status, items, total, ...(note === null ? {} : { note }), version, createdAt };
}
