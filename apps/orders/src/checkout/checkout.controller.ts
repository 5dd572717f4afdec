import { Controller, Header, Post } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiHeader,
  ApiOperation,
  ApiProperty,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import { CurrentUser } from '../users/current-user.decorator.js';
import { USER_HEADER } from '../users/user.guard.js';
import type { User } from '../users/user.js';
import { CheckoutTokens } from './checkout-tokens.js';
import type { CheckoutToken } from './checkout-tokens.js';

class CheckoutView {
  @ApiProperty({ description: 'Send it as Idempotency-Key of POST /orders, on every try.' })
  token!: string;

  @ApiProperty({ format: 'date-time', description: 'Until when it is good for a new order.' })
  expiresAt!: Date;
}

/**
 * For clients that cannot make keys, such as a form without a script: whoever opens the checkout gets a token, and however
 * often its "Place order" is clicked, there is one order. Asking twice gives two tokens and does no harm, so this needs no key.
 */
@ApiTags('orders')
@Controller('checkout')
export class CheckoutController {
  constructor(private readonly tokens: CheckoutTokens) {}

  @Post()
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'Get a one-time token to place an order with' })
  @ApiHeader({
    name: USER_HEADER,
    required: true,
    example: 'ada',
    description: 'Who you are. Stands in for a login.',
  })
  @ApiCreatedResponse({ type: CheckoutView })
  @ApiResponse({ status: 401, description: 'Nobody says who sends this.' })
  open(@CurrentUser() user: User): CheckoutToken {
    return this.tokens.issue(user.id);
  }
}
