import type { ClientProxy, CustomTransportStrategy } from '@nestjs/microservices';

/** Which of the two carries messages. */
export type TransportName = 'in-process' | 'rabbitmq';

export type TransportState =
  { readonly status: 'ok' } | { readonly status: 'unavailable'; readonly reason: string };

/** What carries messages from the outbox to the consumers: two ends of one line, which Nest knows as a client and a server. */
export interface MessageTransport {
  readonly name: TransportName;
  /** Where the relay of the outbox puts messages in. */
  readonly client: Pick<ClientProxy, 'emit' | 'close'>;
  /** Where they come out: Nest registers the consumers here. */
  readonly server: CustomTransportStrategy;
  /** Whether messages are carried now. Those that are not stay in the outbox. */
  state(): TransportState;
  /** In words, for whoever starts the app; without passwords. */
  describe(): string;
}

/** The token of the app's `MessageTransport`. */
export const MESSAGE_TRANSPORT = Symbol('MessageTransport');
