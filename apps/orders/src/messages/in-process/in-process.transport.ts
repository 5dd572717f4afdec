import type { MessageTransport, TransportState } from '../transport.js';
import { InProcessClient } from './in-process.client.js';
import { InProcessServer } from './in-process.server.js';

export class InProcessTransport implements MessageTransport {
  readonly name = 'in-process';
  readonly server = new InProcessServer();
  readonly client = new InProcessClient(this.server);

  state(): TransportState {
    return { status: 'ok' };
  }

  describe(): string {
    return 'inside this process, from the outbox';
  }
}
