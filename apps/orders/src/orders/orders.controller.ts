import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Param,
  Patch,
  Post,
  Put,
  Query,
  Res,
} from '@nestjs/common';
import { Idempotent, IdempotencyKey, expectedVersion } from 'nestjs-idempotent';
import { withVersion } from '../idempotency/fingerprint.js';
import { CurrentUser } from '../users/current-user.decorator.js';
import type { User } from '../users/user.js';
import { ChangeOrderDto } from './dto/change-order.dto.js';
import { CreateOrderDto } from './dto/create-order.dto.js';
import { ListOrdersQuery } from './dto/list-orders.query.js';
import { viewOf } from './dto/order.view.js';
import type { OrderView } from './dto/order.view.js';
import { ReplaceOrderDto } from './dto/replace-order.dto.js';
import { DocumentOrders, Documented } from './orders.openapi.js';
import { OrderIdPipe } from './order-id.pipe.js';
import { OrdersService } from './orders.service.js';
import { sendNewOrder, sendOrder } from './reply.js';
import type { Reply } from './reply.js';

/** Long enough for a phone that comes back from a holiday with an unsent order. */
const REMEMBERED = '7d';

/**
 * PUT, PATCH and DELETE with absolute values and a version are idempotent by themselves: sent again they do no further
 * harm. What a retry without a key does not get is the *answer* it missed: it sees 428, 412 or 404 and has to look what
 * happened. With a key it gets that answer, so the key is welcome here, but not required.
 */
const REMEMBERED_IF_ASKED = {
  ttl: REMEMBERED,
  required: false,
  transactional: false, // without a key there is no record to commit with
  fingerprint: withVersion,
} as const;

@DocumentOrders()
@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  /**
   * Every POST makes an order, so here the key is what tells a retry from a second order. By the module's default it is
   * `transactional`: the order, its message and the record of the key are committed together, or none of them.
   */
  @Post()
  @Idempotent(REMEMBERED)
  @Documented.create()
  async create(
    @CurrentUser() user: User,
    @Body() dto: CreateOrderDto,
    @IdempotencyKey() key: string,
    @Res({ passthrough: true }) reply: Reply,
  ): Promise<OrderView> {
    return sendNewOrder(reply, await this.orders.place(user.id, dto, key));
  }

  @Get()
  @Documented.list()
  async list(@CurrentUser() user: User, @Query() { limit, offset }: ListOrdersQuery): Promise<OrderView[]> {
    return (await this.orders.list(user.id, limit, offset)).map(viewOf);
  }

  @Get(':id')
  @Documented.get()
  async get(
    @CurrentUser() user: User,
    @Param('id', OrderIdPipe) id: string,
    @Res({ passthrough: true }) reply: Reply,
  ): Promise<OrderView> {
    return sendOrder(reply, await this.orders.get(user.id, id));
  }

  @Put(':id')
  @Idempotent(REMEMBERED_IF_ASKED)
  @Documented.put()
  async put(
    @CurrentUser() user: User,
    @Param('id', OrderIdPipe) id: string,
    @Body() dto: ReplaceOrderDto,
    @Headers('if-match') ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: Reply,
  ): Promise<OrderView> {
    const { order, created } = await this.orders.put(user.id, id, dto, expectedVersion(ifMatch, dto.version));
    return created ? sendNewOrder(reply, order) : sendOrder(reply, order);
  }

  @Patch(':id')
  @Idempotent(REMEMBERED_IF_ASKED)
  @Documented.patch()
  async change(
    @CurrentUser() user: User,
    @Param('id', OrderIdPipe) id: string,
    @Body() dto: ChangeOrderDto,
    @Headers('if-match') ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: Reply,
  ): Promise<OrderView> {
    return sendOrder(
      reply,
      await this.orders.change(user.id, id, dto, expectedVersion(ifMatch, dto.version)),
    );
  }

  @Delete(':id')
  @HttpCode(204)
  @Idempotent(REMEMBERED_IF_ASKED)
  @Documented.remove()
  async remove(
    @CurrentUser() user: User,
    @Param('id', OrderIdPipe) id: string,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    await this.orders.remove(user.id, id, expectedVersion(ifMatch));
  }
}
