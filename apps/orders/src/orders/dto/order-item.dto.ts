import { ApiProperty } from '@nestjs/swagger';
import { IsInt, Matches, Max, Min } from 'class-validator';
import { LIMITS } from '../order-limits.js';

export class OrderItemDto {
  @ApiProperty({ example: 'A-123', pattern: '^[\\w.-]{1,64}$' })
  @Matches(/^[\w.-]{1,64}$/, { message: '$property must be 1 to 64 letters, digits or . _ -' })
  sku!: string;

  @ApiProperty({ example: 1, minimum: 1, maximum: LIMITS.quantity, type: 'integer' })
  @IsInt()
  @Min(1)
  @Max(LIMITS.quantity)
  quantity!: number;

  @ApiProperty({
    example: 1999,
    minimum: 0,
    maximum: LIMITS.unitPrice,
    type: 'integer',
    description: 'In minor units.',
  })
  @IsInt()
  @Min(0)
  @Max(LIMITS.unitPrice)
  unitPrice!: number;
}
