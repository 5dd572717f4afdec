import { ClientRMQ, ServerRMQ } from '@nestjs/microservices';
import { withoutPassword } from '../../../../shared/src/start/environment.js';
import type { MessageTransport, TransportState } from '../transport.js';
import { BrokerLogger } from './broker-logger.js';
import { reasonOf } from './reason.js';

const QUEUE = 'orders';
/** Messages that a consumer has refused for good; nobody reads them but people. */
const REFUSED = 'orders.refused';

/** Both ends declare the queue, and RabbitMQ insists that they say the same of it. */
const COMMON = {
  queue: QUEUE,
  queueOptions: {
    durable: true,
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': REFUSED },
  },
  socketOptions: { reconnectTimeInSeconds: 1 },
};

/** How many messages a process works on at a time: its consumers need a connection of the database each. */
const PREFETCH = 5;

/** One durable queue. A message is acknowledged by the library, when what its consumers did is recorded. */
export class RabbitMqTransport implements MessageTransport {
  readonly name = 'rabbitmq';
  readonly server: ServerRMQ;
  readonly client: ClientRMQ;
  private lastHeard: string | undefined;

  constructor(private readonly url: string) {
    this.server = new RabbitMqServer({ ...COMMON, urls: [url], noAck: false, prefetchCount: PREFETCH });
    this.client = new RabbitMqClient({ ...COMMON, urls: [url], persistent: true });
    this.server.status.subscribe((status) => (this.lastHeard = status));
  }

  state(): TransportState {
    switch (this.lastHeard) {
      case 'connected':
      case 'unblocked':
        return { status: 'ok' };
      case 'blocked':
        return { status: 'unavailable', reason: 'the broker is short of memory or disk, and takes nothing' };
      default:
        return { status: 'unavailable', reason: `no connection to ${withoutPassword(this.url)}` };
    }
  }

  describe(): string {
    return `over RabbitMQ at ${withoutPassword(this.url)}, queue ${QUEUE}`;
  }
}

class RabbitMqServer extends ServerRMQ {
  protected override readonly logger = new BrokerLogger('Consumers');

  /** The queue to which RabbitMQ moves what was refused has to be there, or that is lost. */
  override async setupChannel(channel: ConsumingChannel, done: () => void): Promise<void> {
    await channel.assertQueue(REFUSED, { durable: true });
    hearFailuresOf(channel);
    await super.setupChannel(channel, done);
  }
}

class RabbitMqClient extends ClientRMQ {
  protected override readonly logger = new BrokerLogger('Outbox');

  override async connect(): Promise<void> {
    try {
      await super.connect();
    } catch (error) {
      // With a cause, a log would show the URL.
      throw new Error(`RabbitMQ does not take messages: ${reasonOf(error)}`);
    }
  }
}

/**
 * Nest does not wait for `consume`. When the connection ends in that very moment, nobody would hear that it was rejected, and
 * Node ends a process for that. The next connection has a channel of its own, on which all of this is done again.
 */
function hearFailuresOf(channel: ConsumingChannel): void {
  const consume = channel.consume.bind(channel);
  channel.consume = (...args) => {
    const consuming = consume(...args);
    consuming.catch(() => undefined); // that the connection is lost is told where it is lost
    return consuming;
  };
}

interface ConsumingChannel {
  assertQueue(name: string, options: { durable: boolean }): Promise<unknown>;
  consume(...args: readonly unknown[]): Promise<unknown>;
}
