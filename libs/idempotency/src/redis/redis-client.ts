/** Part of a command: the name, a key, a text or bytes. */
export type RedisArgument = string | Buffer;
export type RedisCommand = readonly RedisArgument[];

/** What the storage asks of a Redis client, whichever library it comes from. A further library is a further adapter. */
export interface RedisClient {
  /** `true` while a command that is sent now goes to the server, and not into a queue for later. */
  isReady(): boolean;

  /**
   * Sends one command; bulk strings come back as Buffers, integers as numbers. Commands that are sent in the same
   * turn of the event loop travel together. Settles when the answer comes or the connection is lost, not before: a
   * claim whose answer is late is still given back.
   */
  send(command: RedisCommand): Promise<unknown>;
}

/** The members of a client of the package `redis` (node-redis 5 or 6) that are used. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  sendCommand(command: RedisCommand, options?: NodeRedisCommandOptions): Promise<unknown>;
  /** Of EventEmitter: to see whether a lost connection would crash the process. */
  listenerCount?(event: 'error'): number;
}

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
const COMMAND_OPTIONS: NodeRedisCommandOptions = {
  typeMapping: { [BLOB_STRING]: Buffer },
  timeout: undefined,
};

export function fromNodeRedis(client: NodeRedisClient): RedisClient {
  return {
    isReady: () => client.isReady,
    send: (command) => client.sendCommand(command, COMMAND_OPTIONS),
  };
}
