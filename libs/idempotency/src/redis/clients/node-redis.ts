import type { HandedInClient, KeyPrefix, RedisClient, RedisCommand } from '../redis-client.js';

/** The members of a client of the package `redis` (node-redis 5 or 6) that are used. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  sendCommand(command: RedisCommand, options?: NodeRedisCommandOptions): Promise<unknown>;
  /** Rises with every connection. */
  readonly socketEpoch?: number;
  readonly options?: { readonly keyPrefix?: string | Buffer };
  /** Of EventEmitter: to see whether a lost connection would crash the process. */
  listenerCount?(event: 'error'): number;
}

/** Of the command options of the package `redis` those that are used here. */
export interface NodeRedisCommandOptions {
  readonly typeMapping?: Readonly<Record<number, BufferConstructor>>;
  readonly timeout?: number;
}

/** RESP's type byte for bulk strings, `$`. */
const BLOB_STRING = 36;

/**
 * These take the place of the options that the client was made with. A result is bytes, whatever the client's own type
 * mapping says. `timeout` is off: it would take a command back from the queue only, at the price of a timer for each;
 * `CommandGate` keeps the queue short instead.
 */
export const COMMAND_OPTIONS: NodeRedisCommandOptions = {
  typeMapping: { [BLOB_STRING]: Buffer },
  timeout: undefined,
};

export function fromNodeRedis(client: NodeRedisClient): RedisClient & HandedInClient {
  return {
    isOpen: () => client.isOpen,
    isReady: () => client.isReady,
    send: (command) => client.sendCommand(command, COMMAND_OPTIONS),
    connectionId: () => client.socketEpoch,
    warnings: () => withoutErrorListener(client),
    keyPrefix: sentByUs(client.options?.keyPrefix),
  };
}

/** Clients of node-redis are EventEmitters, whose `error` ends the process when nobody listens. */
export function withoutErrorListener(client: { listenerCount?(event: 'error'): number }): readonly string[] {
  if (client.listenerCount?.('error') !== 0) return [];
  return [
    'redisStorage: the `client` handed in has no `error` listener, so Node ends the process when its connection is lost. ' +
      "Add one: `client.on('error', (error) => logger.error(error))`.",
  ];
}

/** node-redis leaves the keys of `sendCommand` as they are, so its `keyPrefix` is added here. */
export function sentByUs(keyPrefix: string | Buffer | undefined): KeyPrefix {
  const prefix = String(keyPrefix ?? '');
  return { stored: prefix, sent: prefix };
}
