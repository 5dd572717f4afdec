import { Inject, Module } from '@nestjs/common';
import type { DynamicModule, OnApplicationShutdown } from '@nestjs/common';
import { MessagePublisher } from './message-publisher.js';
import { MESSAGE_TRANSPORT } from './transport.js';
import type { MessageTransport } from './transport.js';

/** What carries messages, for the outbox, for Nest and for the health check. */
@Module({})
export class MessagesModule implements OnApplicationShutdown {
  constructor(@Inject(MESSAGE_TRANSPORT) private readonly transport: MessageTransport) {}

  static register(transport: MessageTransport): DynamicModule {
    const provider = { provide: MESSAGE_TRANSPORT, useValue: transport };
    const providers = [provider, MessagePublisher];
    return { module: MessagesModule, global: true, providers, exports: providers };
  }

  /** Nest closes the server; the relay of the outbox has stopped by now, so nobody needs the client. */
  async onApplicationShutdown(): Promise<void> {
    await this.transport.client.close();
  }
}
