import { Body, Controller, Post, type Type } from '@nestjs/common';
import { Idempotent, IdempotentOp, IdempotentOperation, type IdempotentOptions } from 'nestjs-idempotent';

export type Handler = (body: unknown, op: IdempotentOperation) => unknown;

/** `POST /orders`, which does what the test says. */
export function ordersController(handler: Handler, options: IdempotentOptions = {}): Type {
  @Controller('orders')
  class OrdersController {
    @Post()
    @Idempotent(options)
    create(@Body() body: unknown, @IdempotentOp() op: IdempotentOperation): unknown {
      return handler(body, op);
    }
  }
  return OrdersController;
}

export interface CountingHandler {
  (): unknown;
  readonly runs: number;
}

/** A handler that counts: each run makes another order. */
export function countingHandler(): CountingHandler {
  let runs = 0;
  const handler = (): unknown => ({ id: `order-${(runs += 1)}` });
  return Object.defineProperty(handler, 'runs', { get: () => runs }) as unknown as CountingHandler;
}
