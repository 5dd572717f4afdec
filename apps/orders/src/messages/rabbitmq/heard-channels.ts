import type { LoggerService } from '@nestjs/common';

export interface Connections {
  createChannel(options: unknown): Channel;
}

interface Channel {
  on(event: 'error', hear: (error: unknown) => void): unknown;
}

/**
 * Nest hears no errors of its channels, and Node ends a process for one that nobody hears: that a connection was lost while a
 * queue was declared, for example. On the next connection all of that is done again.
 */
export function withHeardChannels(connections: Connections, log: LoggerService): Connections {
  const createChannel = connections.createChannel.bind(connections);
  connections.createChannel = (options) => {
    const channel = createChannel(options);
    channel.on('error', (error) => void log.error(error));
    return channel;
  };
  return connections;
}
