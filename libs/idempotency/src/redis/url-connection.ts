import { performance } from 'node:perf_hooks';
import { InvalidOptionsError, StorageUnavailableError } from '../core/errors.js';
import type { StorageHost } from '../core/idempotency-storage.js';
import { fromNodeRedis, type NodeRedisClient } from './clients/node-redis.js';
import { NO_KEY_PREFIX, type RedisCommand } from './redis-client.js';
import { beforeDeadline, type RedisConnection, type RedisServer } from './redis-connection.js';
import { asUnreachable, messageOf } from './redis-errors.js';
import { commandLine, type CommandLine, type IsChange, type ReplicaWait } from './replica-wait.js';

/** What is used of a client that is ours to open and to close. */
export interface OwnedNodeRedisClient extends NodeRedisClient {
  connect(): Promise<unknown>;
  close(): Promise<unknown>;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'connect' | 'ready', listener: () => void): unknown;
}

/** `createClient` of the package `redis`, as far as it is used. */
export type CreateClient = (options: {
  readonly url: string;
  readonly disableOfflineQueue: boolean;
  readonly socket: {
    readonly connectTimeout: number;
    readonly reconnectStrategy: (retries: number) => number;
  };
}) => OwnedNodeRedisClient;

const CONNECT_TIMEOUT_MS = 2_000;
/** The client sleeps it out even when it is closed meanwhile, so this bounds how long `stop` leaves a timer behind. */
const MAX_RECONNECT_PAUSE_MS = 1_000;
/** After that a connection is taken for dead: without a packet from the other side TCP itself would wait a quarter of an hour. */
const DEAD_AFTER_MS = 30_000;
const MIN_RENEWAL_PAUSE_MS = 1_000;
const CLOSE_DEADLINE_MS = 1_000;

interface Current {
  readonly client: OwnedNodeRedisClient;
  readonly line: CommandLine;
  readonly since: number;
}

/** The connection of `redisStorage({ url })`. It comes back by itself, for ever. */
export class UrlConnection implements RedisConnection {
  readonly where: string;
  readonly clustered = false;
  readonly keyPrefix = NO_KEY_PREFIX;
  private current: Current | undefined;
  private create: CreateClient | undefined;
  private host: StorageHost | undefined;
  private opened = false;
  private outage = false;
  private lastError: Error | undefined;

  constructor(
    private readonly url: string,
    private readonly load: () => Promise<CreateClient> = loadCreateClient,
    private readonly now: () => number = () => performance.now(),
    readonly replicaWait?: ReplicaWait,
  ) {
    this.where = `Redis at ${addressOf(url)}`;
  }

  async open(host: StorageHost | undefined): Promise<void> {
    this.host = host;
    this.create = await this.load();
    try {
      await beforeDeadline(
        this.connectFirst(),
        this.where,
        () => this.lastError?.message ?? 'it does not answer',
      );
      this.opened = true;
    } catch (error) {
      await this.close();
      throw asUnreachable(this.where, error);
    }
  }

  async close(): Promise<void> {
    this.opened = false;
    const client = this.current?.client;
    this.current = undefined;
    if (client === undefined) return;
    const drained = client.isReady ? client.close() : undefined;
    if (drained !== undefined) {
      await beforeDeadline(drained, this.where, () => 'commands are unanswered', CLOSE_DEADLINE_MS).catch(
        () => {},
      );
    }
    destroy(client);
  }

  servers(): readonly RedisServer[] {
    return [this];
  }

  send(command: RedisCommand, _key?: string, isChange?: IsChange): Promise<unknown> {
    const { current } = this;
    if (current === undefined) return Promise.reject(notStarted(this.where));
    const { client, line, since } = current;
    const quietMs = client.isReady ? line.silentMs : this.now() - since;
    if (quietMs > DEAD_AFTER_MS) this.reconnect(current, `nothing was heard for ${Math.round(quietMs)} ms`);
    const answer = line.send(command, isChange);
    answer.catch((error: unknown) => {
      // After a failover by DNS this may be the old primary, which will never take a write again.
      if (messageOf(error).startsWith('READONLY')) this.reconnect(current, 'it has become a replica');
    });
    return answer;
  }

  /** Rejects as soon as the server says no, instead of trying the same password for five seconds. */
  private connectFirst(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.connect((error) => {
        if (/^(WRONGPASS|NOAUTH|NOPERM|ERR)\b/.test(error.message)) reject(error);
      }).then(resolve, reject);
    });
  }

  private connect(onError?: (error: Error) => void): Promise<unknown> {
    const client = (this.create as CreateClient)({
      url: this.url,
      disableOfflineQueue: true,
      socket: {
        connectTimeout: CONNECT_TIMEOUT_MS,
        reconnectStrategy: (retries) =>
          Math.min(50 * 2 ** retries, MAX_RECONNECT_PAUSE_MS) * (0.75 + Math.random() / 4),
      },
    });
    this.current = {
      client,
      line: commandLine(fromNodeRedis(client), this.where, this.replicaWait, this.now),
      since: this.now(),
    };
    const isCurrent = () => this.current?.client === client;
    // Without this listener a lost connection would end the process.
    client.on('error', (error) => {
      if (!isCurrent()) return;
      this.lastError = error;
      onError?.(error);
      if (this.opened) this.reportOutage(error.message);
    });
    client.on('ready', () => {
      if (isCurrent()) this.outage = false;
    });
    // A client that is destroyed while its socket connects does not notice.
    client.on('connect', () => {
      if (!isCurrent()) destroy(client);
    });
    return client.connect();
  }

  private reconnect(dead: Current, reason: string): void {
    if (this.current !== dead || this.now() - dead.since < MIN_RENEWAL_PAUSE_MS) return;
    this.reportOutage(reason);
    // Rejects only when it is destroyed: until then it tries.
    this.connect().catch(() => {});
    destroy(dead.client);
  }

  private reportOutage(reason: string): void {
    if (this.outage) return;
    this.outage = true;
    this.host?.warn(
      `${this.where} is lost: ${reason}. Until it is back no operation can be protected; reconnecting goes on for ever.`,
    );
  }
}

function notStarted(where: string): StorageUnavailableError {
  return new StorageUnavailableError(
    `${where} is not connected: redisStorage was not started, or it was stopped.`,
  );
}

function destroy(client: OwnedNodeRedisClient): void {
  try {
    client.destroy();
  } catch {
    // node-redis 5 throws when there is nothing left to destroy.
  }
}

async function loadCreateClient(): Promise<CreateClient> {
  try {
    return (await import('redis')).createClient;
  } catch (cause) {
    throw new InvalidOptionsError(
      'redisStorage: `url` needs the package `redis`, which cannot be loaded. Run `npm install redis`, or hand in a `client`.',
      { cause },
    );
  }
}

/** Host and port, never the credentials that a url may hold. @throws InvalidOptionsError when it is no Redis url */
function addressOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !['redis:', 'rediss:', 'unix:'].includes(parsed.protocol)) {
    throw new InvalidOptionsError(
      'redisStorage: `url` is not the address of a Redis. Write redis://host:6379, or rediss:// for TLS, or unix:///path/to/socket.',
    );
  }
  return parsed.protocol === 'unix:' ? parsed.pathname : `${parsed.hostname}:${parsed.port || '6379'}`;
}
