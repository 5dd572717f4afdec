import { CreateOrderDto } from './create-order.dto.js';
import { Version } from './order-fields.js';

/** What is not named here, such as the `status` of an order that was read and sent back, is ignored. */
export class ReplaceOrderDto extends CreateOrderDto {
  @Version()
  version?: number;
}
