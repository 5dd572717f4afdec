import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { OrderIdPipe } from '../orders/order-id.pipe.js';
import { DocumentOrders } from '../orders/orders.openapi.js';
import { CurrentUser } from '../users/current-user.decorator.js';
import type { User } from '../users/user.js';
import { EffectsService } from './effects.service.js';
import { EffectsView } from './effects.view.js';

@DocumentOrders()
@Controller('orders/:id/effects')
export class EffectsController {
  constructor(private readonly effects: EffectsService) {}

  @Get()
  @ApiOperation({
    summary: 'Count what one of your orders has come to: one of each, however often it was sent',
    description:
      'Waits up to 2 s for messages of the order that are still on their way: stock and e-mail follow them.',
  })
  @ApiOkResponse({ type: EffectsView })
  @ApiResponse({ status: 404, description: 'You have no such order.' })
  async of(@CurrentUser() user: User, @Param('id', OrderIdPipe) id: string): Promise<EffectsView> {
    return this.effects.of(user.id, id);
  }
}
