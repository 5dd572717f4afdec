import type { ModulesContainer } from '@nestjs/core';
import { decoratedMethods } from '../decorated-methods.js';
import { optionalPackage } from '../contexts/optional-package.js';
import { transportsOf } from '../transports.js';
import { watchedHandler, type ServerHandler } from './handler-call.js';
import { WatchedChannel, type RabbitChannel } from './rabbitmq.js';
import { watched } from './watched.js';

interface ServerPrototype {
  addHandler(pattern: unknown, callback: ServerHandler, ...more: unknown[]): void;
  handleEvent(pattern: string, packet: unknown, context: unknown): Promise<unknown>;
}

interface RabbitServerPrototype {
  setupChannel(channel: ConsumingChannel, ...more: unknown[]): unknown;
}

interface ConsumingChannel extends RabbitChannel {
  consume(queue: string, onMessage: unknown, options?: { readonly noAck?: boolean }): unknown;
}

const PREPARED = Symbol.for('nestjs-idempotent:prepared-servers');

/**
 * Prepares Nest's servers, before the first handler is added to one of them, where there are decorated message handlers: only a
 * server knows whether its consumer acknowledges, and when all handlers of a message are through.
 */
export async function prepareServers(modules: ModulesContainer): Promise<void> {
  if (!decoratedMethods(modules).some((method) => transportsOf(method).includes('rpc'))) return;
  const name = '@nestjs/microservices';
  const { Server, ServerRMQ } = await optionalPackage(name, () => import('@nestjs/microservices'));
  const server = Server.prototype as unknown as ServerPrototype & { [PREPARED]?: true };
  if (server[PREPARED]) return;
  server[PREPARED] = true;
  watchHandlers(server);
  watchEvents(server);
  watchChannels(ServerRMQ.prototype);
}

function watchHandlers(server: ServerPrototype): void {
  const { addHandler } = server;
  server.addHandler = function (pattern, callback, ...more) {
    addHandler.call(this, pattern, watchedHandler(callback), ...more);
  };
}

/** A message may ask for a reply in words that Nest does not know: then nobody is told of its error. */
function watchEvents(server: ServerPrototype): void {
  const { handleEvent } = server;
  server.handleEvent = function (pattern, packet, context) {
    if (typeof context === 'object' && context !== null) watched.events.add(context);
    return handleEvent.call(this, pattern, packet, context);
  };
}

/** With `noAck: true`, which is Nest's default, an acknowledgement would make the broker close the channel. */
function watchChannels(server: RabbitServerPrototype): void {
  const { setupChannel } = server;
  server.setupChannel = function (channel, ...more) {
    const consume = channel.consume.bind(channel);
    channel.consume = (queue, onMessage, options) => {
      channel.consume = consume;
      if (options?.noAck !== true) watched.channels.set(channel, new WatchedChannel(channel));
      return consume(queue, onMessage, options);
    };
    return setupChannel.call(this, channel, ...more);
  };
}
