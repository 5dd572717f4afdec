import { ClientRMQ } from '@nestjs/microservices';
import { BrokerLogger } from './broker-logger.js';
import { withHeardChannels, type Connections } from './heard-channels.js';
import { COMMON } from './queues.js';
import { reasonOf } from './reason.js';

/** Where the outbox puts messages in. A message counts as sent when RabbitMQ has confirmed it. */
export class RabbitMqClient extends ClientRMQ {
  protected override readonly logger = new BrokerLogger('Outbox');

  constructor(url: string) {
    super({ ...COMMON, urls: [url], persistent: true });
  }

  override createClient(): ReturnType<ClientRMQ['createClient']> {
    return withHeardChannels(super.createClient() as Connections, this.logger);
  }

  override async connect(): Promise<void> {
    try {
      await super.connect();
    } catch (error) {
      // With a cause, a log would show the URL.
      throw new Error(`RabbitMQ does not take messages: ${reasonOf(error)}`);
    }
  }
}
