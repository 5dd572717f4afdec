import { IdempotencyService, type IdempotencyEventType } from 'nestjs-idempotent';
import { consumer, type Handle } from './one-consumer.js';
import { startTcp, type TcpApp, type TcpOptions } from './tcp-app.js';

export const CREATE = 'orders.create';
export const message = { id: 'm1', sku: 'A-1' };

/** The consumer of one-consumer.ts, over TCP. */
export const startConsumer = (
  handle: Handle,
  options: Parameters<typeof consumer>[1] = {},
  more: TcpOptions = {},
): Promise<TcpApp> => startTcp({ controllers: [consumer(handle, options)], ...more });

/** How often an event was published. */
export const counted = ({ app }: TcpApp, type: IdempotencyEventType): number =>
  app.get(IdempotencyService).counters().get(type) ?? 0;
