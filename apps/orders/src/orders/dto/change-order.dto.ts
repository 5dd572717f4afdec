import { ApiPropertyOptional } from '@nestjs/swagger';
import { Equals, ValidateIf } from 'class-validator';
import { Note, OptionalItems, Version } from './order-fields.js';
import type { OrderItemDto } from './order-item.dto.js';

/**
 * Absolute values only: "the quantity is 3", never "one more". The first can be sent twice and means the same; of the
 * second nobody knows how often it was counted.
 */
export class ChangeOrderDto {
  @OptionalItems()
  items?: OrderItemDto[];

  @Note()
  note?: string | null;

  @ApiPropertyOptional({ enum: ['cancelled'] })
  @ValidateIf((_body, status) => status !== undefined)
  @Equals('cancelled')
  status?: 'cancelled';

  @Version()
  version?: number;
}
