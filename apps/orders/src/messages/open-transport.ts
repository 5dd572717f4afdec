import type { AppConfig } from '../config/app-config.js';
import { InProcessTransport } from './in-process/in-process.transport.js';
import { RabbitMqTransport } from './rabbitmq/rabbitmq.transport.js';
import type { MessageTransport } from './transport.js';

/** Opens no connection yet. Outbox and consumers are the same over either of them. */
export function transportFor({ amqpUrl }: AppConfig): MessageTransport {
  return amqpUrl === undefined ? new InProcessTransport() : new RabbitMqTransport(amqpUrl);
}
