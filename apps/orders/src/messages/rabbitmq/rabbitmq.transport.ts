import { withoutPassword } from '../../../../shared/src/start/environment.js';
import type { MessageTransport, TransportState } from '../transport.js';
import { QUEUE } from './queues.js';
import { RabbitMqClient } from './rabbitmq.client.js';
import { RabbitMqServer } from './rabbitmq.server.js';

/** One durable queue. */
export class RabbitMqTransport implements MessageTransport {
  readonly name = 'rabbitmq';
  readonly server: RabbitMqServer;
  readonly client: RabbitMqClient;
  private isBlocked = false;

  constructor(private readonly url: string) {
    this.server = new RabbitMqServer(url);
    this.client = new RabbitMqClient(url);
    // RabbitMQ tells this to connections that publish, and to no others.
    this.client.status.subscribe((status) => (this.isBlocked = String(status) === 'blocked'));
  }

  state(): TransportState {
    const { trouble } = this.server;
    if (trouble !== undefined)
      return { status: 'unavailable', reason: `${trouble} (${withoutPassword(this.url)})` };
    if (!this.isBlocked) return { status: 'ok' };
    return { status: 'unavailable', reason: 'the broker is short of memory or disk, and takes nothing' };
  }

  describe(): string {
    return `over RabbitMQ at ${withoutPassword(this.url)}, queue ${QUEUE}`;
  }
}
