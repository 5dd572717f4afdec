import { etagOf } from 'nestjs-idempotent';
import { viewOf } from './dto/order.view.js';
import type { OrderView } from './dto/order.view.js';
import type { Order } from './order.entity.js';

/** What Express' response and Fastify's reply have in common: all that a handler needs. */
export interface Reply {
  status(code: number): unknown;
  header(name: string, value: string): unknown;
}

/** The order, with its version where caches and conditional requests look for it. */
export function sendOrder(reply: Reply, order: Order): OrderView {
  reply.header('ETag', etagOf(order.version));
  return viewOf(order);
}

export function sendNewOrder(reply: Reply, order: Order): OrderView {
  reply.status(201);
  reply.header('Location', `/orders/${order.id}`);
  return sendOrder(reply, order);
}
