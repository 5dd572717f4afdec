import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidOptionsError } from '../core/errors.js';
import type { StorageHost } from '../core/idempotency-storage.js';
import type { HandedInClient, KeyPrefix, RedisClient, RedisCommand } from './redis-client.js';
import { unreachable } from './redis-errors.js';
import { commandLine, type CommandLine, type IsChange, type ReplicaWait } from './replica-wait.js';

/** A way to Redis: one that is handed in, or one of our own. */
export interface RedisConnection {
  /** For messages, without credentials, for example `Redis at 10.0.0.5:6379`. */
  readonly where: string;
  readonly keyPrefix: KeyPrefix;
  /** `true` when each key belongs to one of several servers, and the connection finds it. */
  readonly clustered: boolean;
  /** Present when changes must have reached replicas. */
  readonly replicaWait?: ReplicaWait;
  /** @throws InvalidOptionsError or StorageUnavailableError with the mend */
  open(host: StorageHost | undefined): Promise<void>;
  close(): Promise<void>;
  /** Sends a command about `key` to the server that holds it. With `isChange` its answer waits for replicas, if wanted. */
  send(command: RedisCommand, key: string, isChange?: IsChange): Promise<unknown>;
  /** Every server that holds records, as known now. */
  servers(): readonly RedisServer[];
}

/** A server that holds records. */
export interface RedisServer {
  readonly where: string;
  send(command: RedisCommand, key?: string, isChange?: IsChange): Promise<unknown>;
}

/** Long enough for a Redis that starts together with the app, short enough for somebody who watches the boot. */
const START_DEADLINE_MS = 5_000;
const READY_POLL_MS = 20;

/** A client of the application. It is used as it is: never connected, never closed, and no listener is added. */
export class HandedInConnection implements RedisConnection {
  readonly where = 'The Redis of the `client` handed in';
  readonly clustered = false;
  readonly keyPrefix: KeyPrefix;
  private readonly line: CommandLine;

  constructor(
    private readonly client: RedisClient & HandedInClient,
    readonly replicaWait?: ReplicaWait,
  ) {
    this.keyPrefix = client.keyPrefix;
    this.line = commandLine(client, this.where, replicaWait);
  }

  open(host: StorageHost | undefined): Promise<void> {
    return untilReady(this.client, this.where, host);
  }

  async close(): Promise<void> {}

  send(command: RedisCommand, _key?: string, isChange?: IsChange): Promise<unknown> {
    return this.line.send(command, isChange);
  }

  servers(): readonly RedisServer[] {
    return [this];
  }
}

/** A client may be handed in while it still connects, but somebody must have told it to. */
export async function untilReady(
  client: HandedInClient,
  where: string,
  host: StorageHost | undefined,
): Promise<void> {
  if (!client.isOpen()) {
    throw new InvalidOptionsError(
      'redisStorage: the `client` handed in is not connected. Whoever makes a client opens and closes it: ' +
        '`await client.connect()` before the application starts, or give `url` and let the storage do both.',
    );
  }
  for (const warning of client.warnings()) host?.warn(warning);
  for (const start = performance.now(); !client.isReady(); await sleep(READY_POLL_MS)) {
    if (performance.now() - start < START_DEADLINE_MS) continue;
    throw unreachable(where, `it is still not connected, after ${START_DEADLINE_MS} ms`);
  }
}

/** Bounds what a start or a stop waits for. `reason` is asked when the time is up. */
export async function beforeDeadline<T>(
  work: Promise<T>,
  where: string,
  reason: () => string,
  deadlineMs = START_DEADLINE_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreachable(where, `${reason()}, after ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
