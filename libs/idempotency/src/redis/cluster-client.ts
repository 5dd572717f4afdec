import type { HandedInClient, RedisClient } from './redis-client.js';

/** What the storage asks of a client of a Redis Cluster: where things are. It sends on the nodes' own connections. */
export interface ClusterClient extends HandedInClient {
  /** The node that holds the slot, as far as the client knows. */
  primaryOf(slot: number): ClusterNode | undefined;
  primaries(): readonly ClusterNode[];
  /** The node that a redirection names. */
  nodeAt(address: string): ClusterNode | undefined;
  /**
   * Makes the client look where the key is now. Resolves when it has, or has failed to.
   *
   * @param elsewhere the node that it would ask about this key does not answer
   */
  lookAgain(key: string, elsewhere: boolean): Promise<void>;
}

export interface ClusterNode {
  /** host:port */
  readonly address: string;
  /** The library's object for the connection; the same one as long as the connection is used. `undefined` before it. */
  readonly identity: object | undefined;
  /** The connection, ready or not. `undefined` before it was ever used: `connect` then. */
  readonly client: RedisClient | undefined;
  /** Present while the connection is made for the first time; called, it is made. */
  readonly connect: (() => Promise<unknown>) | undefined;
}
