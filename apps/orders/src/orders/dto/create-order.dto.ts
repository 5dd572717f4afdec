import { Items, Note } from './order-fields.js';
import type { OrderItemDto } from './order-item.dto.js';

export class CreateOrderDto {
  @Items()
  items!: OrderItemDto[];

  @Note()
  note?: string | null;
}
