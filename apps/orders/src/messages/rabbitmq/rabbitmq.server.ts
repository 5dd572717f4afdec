import { ServerRMQ } from '@nestjs/microservices';
import { StartError } from '../../../../shared/src/start/start-error.js';
import { BrokerLogger } from './broker-logger.js';
import { withHeardChannels, type Connections } from './heard-channels.js';
import { COMMON, REFUSED } from './queues.js';

/** How many messages a process works on at a time: its consumers need a connection of the database each. */
const PREFETCH = 5;

/** Where messages come out. One is acknowledged by the library, when what its consumers did is recorded. */
export class RabbitMqServer extends ServerRMQ {
  protected override readonly logger = new BrokerLogger('Consumers');
  private isTaking = false;
  private refusal: string | undefined;
  private endStart: (error: Error) => void = () => undefined;

  constructor(url: string) {
    super({ ...COMMON, urls: [url], noAck: false, prefetchCount: PREFETCH });
  }

  /** Why no messages are taken now; `undefined`: they are. */
  get trouble(): string | undefined {
    return this.isTaking ? undefined : (this.refusal ?? 'no connection');
  }

  override async listen(callback: (error?: unknown) => void): Promise<void> {
    this.endStart = callback;
    await super.listen(callback);
  }

  override async createClient<T>(): Promise<T> {
    return withHeardChannels(await super.createClient<Connections>(), this.logger) as T;
  }

  /**
   * The queue to which RabbitMQ moves what was refused has to be there, or that is lost. And Nest does not wait for `consume`:
   * when the connection ends in that very moment, nobody would hear that it was rejected, and Node ends a process for that.
   */
  override async setupChannel(channel: ConsumingChannel, done: () => void): Promise<void> {
    let consuming: Promise<unknown> | undefined;
    const consume = channel.consume.bind(channel);
    channel.consume = (...args) => (consuming = consume(...args));
    channel.once('close', () => (this.isTaking = false));
    try {
      await channel.assertQueue(REFUSED, { durable: true });
      await super.setupChannel(channel, () => undefined);
      await consuming;
    } catch (error) {
      if (isRefusal(error)) this.refused(error);
      throw error;
    }
    this.isTaking = true;
    this.refusal = undefined;
    done();
  }

  private refused({ message }: Error): void {
    this.refusal = message;
    this.endStart(
      new StartError(
        `RabbitMQ does not let us have our queues: ${message}. Remove the queue that it names, or let AMQP_URL name another virtual host.`,
      ),
    );
  }
}

/** RabbitMQ itself has said no, and would again; a connection that is lost has no code. */
function isRefusal(error: unknown): error is Error {
  return error instanceof Error && typeof (error as { code?: unknown }).code === 'number';
}

interface ConsumingChannel {
  assertQueue(name: string, options: { durable: boolean }): Promise<unknown>;
  consume(...args: readonly unknown[]): Promise<unknown>;
  once(event: 'close', hear: () => void): unknown;
}
