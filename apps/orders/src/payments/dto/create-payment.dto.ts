import { ApiProperty } from '@nestjs/swagger';
import { IsInt, IsString, Length, Max, Min } from 'class-validator';

export class CreatePaymentDto {
  @ApiProperty({ type: 'integer', example: 1999, description: "The order's total, in minor units." })
  @IsInt()
  @Min(0)
  @Max(Number.MAX_SAFE_INTEGER)
  amount!: number;

  @ApiProperty({
    example: 'visa',
    description: 'Any name is a good card. `declined`, `slow` and `down` do what they say.',
  })
  @IsString()
  @Length(1, 64)
  card!: string;
}
