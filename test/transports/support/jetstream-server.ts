import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager, type JsMsg } from '@nats-io/jetstream';
import { connect, nanos, type NatsConnection } from '@nats-io/transport-node';
import { BaseRpcContext, Server, Transport, type CustomTransportStrategy } from '@nestjs/microservices';

export interface JetStreamOptions {
  readonly servers: string;
  readonly stream: string;
  /** One name per consuming service: all its processes share the messages. */
  readonly durable: string;
  /** How long a message may stay without an acknowledgement, in milliseconds. */
  readonly ackWait?: number;
}

/** Its argument is the message: by that the library finds what to acknowledge. */
export class JetStreamContext extends BaseRpcContext<[JsMsg]> {
  getMessage = () => this.args[0];
  getSubject = () => this.args[0].subject;
  getHeaders = () => this.args[0].headers;
}

export class JetStreamServer extends Server implements CustomTransportStrategy {
  override readonly transportId = Transport.NATS;
  private connection: NatsConnection | undefined;

  constructor(private readonly options: JetStreamOptions) {
    super();
  }

  async listen(callback: (error?: unknown) => void): Promise<void> {
    try {
      const { servers, stream, durable, ackWait = 30_000 } = this.options;
      this.connection = await connect({ servers });
      const manager = await jetstreamManager(this.connection);
      await manager.consumers.add(stream, {
        durable_name: durable,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ack_wait: nanos(ackWait),
      });
      const consumer = await jetstream(this.connection).consumers.get(stream, durable);
      await consumer.consume({ callback: (message) => void this.take(message) });
      callback();
    } catch (error) {
      callback(error);
    }
  }

  private async take(message: JsMsg): Promise<void> {
    const { subject } = message;
    if (this.getHandlerByPattern(subject) === null) return message.ack();
    let data: unknown;
    try {
      data = message.json();
    } catch {
      return message.term();
    }
    const packet = { pattern: subject, data };
    await this.handleEvent(subject, packet, new JetStreamContext([message])).catch((error: string) =>
      this.handleError(error),
    );
  }

  async close(): Promise<void> {
    await this.connection?.close();
  }

  on(): never {
    throw new Error('JetStreamServer has no events.');
  }

  unwrap<T>(): T {
    return this.connection as T;
  }
}
