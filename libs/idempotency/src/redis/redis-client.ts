/** Part of a command: the name, a key, a text or bytes. */
export type RedisArgument = string | Buffer;
/** A command with its arguments, as it is sent. */
export type RedisCommand = readonly RedisArgument[];

/**
 * One connection to one server, whichever library it comes from. A further library is a further file in `clients/`.
 */
export interface RedisClient {
  /** `true` while a command that is sent now goes to the server, and not into a queue for later. */
  isReady(): boolean;

  /**
   * Sends one command; bulk strings come back as Buffers, integers as numbers. Commands that are sent in the same
   * turn of the event loop travel together, in their order. Settles when the answer comes or the connection is lost, not
   * before: a claim whose answer is late is still given back.
   */
  send(command: RedisCommand): Promise<unknown>;

  /** Another value after the connection was made anew; `undefined` when the library does not tell. */
  connectionId(): unknown;
}

/** A client of the application, of whichever kind, as it is before it is used. */
export interface HandedInClient {
  /** `false` when nobody has connected it, or somebody has closed it. */
  isOpen(): boolean;
  isReady(): boolean;
  /** What the operator should know about how the client was made. */
  warnings(): readonly string[];
  readonly keyPrefix: KeyPrefix;
}

/** What stands before a record id, from the client's own option `keyPrefix`. */
export interface KeyPrefix {
  /** In the server's keys. */
  readonly stored: string;
  /** In our commands: empty where the client adds it by itself. */
  readonly sent: string;
}

export const NO_KEY_PREFIX: KeyPrefix = { stored: '', sent: '' };
