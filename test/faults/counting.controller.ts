import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { Idempotent } from 'nestjs-idempotent';

/** How often its handler ran. A test makes one app with it and counts from where it was. */
export const executions: { count: number; onRun?: (() => void) | undefined } = { count: 0 };

@Controller('orders')
export class CountingController {
  @Post()
  @HttpCode(201)
  @Idempotent('1h')
  create(@Body() body: unknown): unknown {
    executions.count += 1;
    executions.onRun?.();
    return { execution: executions.count, body };
  }
}

export function postOrder(url: string, key: string): Promise<Response> {
  return fetch(`${url}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: '{"sku":"A-123"}',
  });
}
