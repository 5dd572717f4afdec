import type { StorageHost } from '../core/idempotency-storage.js';
import { notSent } from './command-gate.js';
import type { HandedInClient, KeyPrefix, RedisClient, RedisCommand } from './redis-client.js';
import { beforeDeadline, untilReady, type RedisConnection, type RedisServer } from './redis-connection.js';
import { messageOf } from './redis-errors.js';
import { commandLine, type CommandLine, type IsChange, type ReplicaWait } from './replica-wait.js';

/** What the storage asks of a client that follows the primary of a Sentinel group with connections that it makes itself. */
export interface SentinelClient extends HandedInClient {
  /** The connection to the primary. Waits while a new one is elected. */
  primary(): Promise<RedisClient>;
  /** Tells the client that the server behind `stale` says it is a replica. */
  primaryInsteadOf(stale: RedisClient): Promise<RedisClient>;
}

interface Primary {
  readonly client: RedisClient;
  readonly line: CommandLine;
}

/**
 * The primary of a Sentinel group, over a client of the application that makes a new connection after each failover.
 * Commands go out on the connection itself: the client would keep them until there is a new primary, and send them then.
 */
export class SentinelConnection implements RedisConnection {
  readonly where = 'The Redis behind the Sentinels of the `client` handed in';
  readonly clustered = false;
  readonly keyPrefix: KeyPrefix;
  private current: Primary | undefined;
  private searching: Promise<void> | undefined;

  constructor(
    private readonly sentinel: SentinelClient,
    readonly replicaWait?: ReplicaWait,
  ) {
    this.keyPrefix = sentinel.keyPrefix;
  }

  async open(host: StorageHost | undefined): Promise<void> {
    await untilReady(this.sentinel, this.where, host);
    await beforeDeadline(this.search(), this.where, () => 'no connection to the primary can be had');
  }

  async close(): Promise<void> {}

  servers(): readonly RedisServer[] {
    return [this];
  }

  send(command: RedisCommand, _key?: string, isChange?: IsChange): Promise<unknown> {
    const { current } = this;
    if (current?.client.isReady() !== true) {
      void this.search();
      return Promise.reject(notSent(this.where, 'has no primary that is connected'));
    }
    const answer = current.line.send(command, isChange);
    answer.catch((error: unknown) => {
      if (messageOf(error).startsWith('READONLY') && this.current === current)
        void this.search(current.client);
    });
    return answer;
  }

  /** One search at a time. What fails is searched again by the next command. */
  private search(stale?: RedisClient): Promise<void> {
    const { sentinel } = this;
    this.searching ??= (stale === undefined ? sentinel.primary() : sentinel.primaryInsteadOf(stale))
      .then(
        (client) => {
          if (this.current?.client === client) return;
          this.current = { client, line: commandLine(client, this.where, this.replicaWait) };
        },
        () => {},
      )
      .finally(() => {
        this.searching = undefined;
      });
    return this.searching;
  }
}
