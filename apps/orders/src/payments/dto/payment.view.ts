import { ApiProperty } from '@nestjs/swagger';

export class PaymentView {
  @ApiProperty({ format: 'uuid' })
  orderId!: string;

  @ApiProperty({ example: 'ch_5d0c6a4e-3a4b-4f7e-9b0e-1f6f0c0c7f55' })
  chargeId!: string;

  @ApiProperty({ type: 'integer', example: 1999, description: 'In minor units.' })
  amount!: number;

  @ApiProperty({ enum: ['paid'], description: 'What the order is now.' })
  status!: 'paid';
}
