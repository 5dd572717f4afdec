import { ApiProperty } from '@nestjs/swagger';

const counted = (description: string): PropertyDecorator =>
  ApiProperty({ type: 'integer', example: 1, description });

/** How often things have happened for one order, counted where they are kept. */
export class EffectsView {
  @counted('Orders that were made under its key.')
  orders!: number;

  @counted('Charges that were not given back, as the payment service tells.')
  charges!: number;

  @counted('E-mails to the customer, counted in the folder that they are sent to.')
  emails!: number;

  @counted('Moves of stock, one per article.')
  stockMoves!: number;

  @counted('How often a handler ran to place or to pay it: also those that were killed or rolled back.')
  runs!: number;
}
