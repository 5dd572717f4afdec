import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidOptionsError } from '../core/errors.js';
import type { StorageHost } from '../core/idempotency-storage.js';
import { CommandGate } from './command-gate.js';
import { fromNodeRedis, type NodeRedisClient, type RedisCommand } from './redis-client.js';
import { unreachable } from './redis-errors.js';

/** A way to Redis: one that is handed in, or one of our own. */
export interface RedisConnection {
  /** For messages, without credentials, for example `Redis at 10.0.0.5:6379`. */
  readonly where: string;
  /** @throws InvalidOptionsError or StorageUnavailableError with the mend */
  open(host: StorageHost | undefined): Promise<void>;
  close(): Promise<void>;
  send(command: RedisCommand): Promise<unknown>;
}

/** Long enough for a Redis that starts together with the app, short enough for somebody who watches the boot. */
const START_DEADLINE_MS = 5_000;
const READY_POLL_MS = 20;

/** A client of the application. It is used as it is: never connected, never closed, and no listener is added. */
export class HandedInConnection implements RedisConnection {
  readonly where = 'The Redis of the `client` handed in';
  private readonly gate: CommandGate;

  constructor(private readonly client: NodeRedisClient) {
    this.gate = new CommandGate(fromNodeRedis(client), this.where);
  }

  async open(host: StorageHost | undefined): Promise<void> {
    if (!this.client.isOpen) {
      throw new InvalidOptionsError(
        'redisStorage: the `client` handed in is not connected. Whoever makes a client opens and closes it: ' +
          '`await client.connect()` before the application starts, or give `url` and let the storage do both.',
      );
    }
    if (this.client.listenerCount?.('error') === 0) {
      host?.warn(
        'redisStorage: the `client` handed in has no `error` listener, so Node ends the process when its connection is lost. ' +
          "Add one: `client.on('error', (error) => logger.error(error))`.",
      );
    }
    // A client may be handed in while it still connects.
    for (const start = performance.now(); !this.client.isReady; await sleep(READY_POLL_MS)) {
      if (performance.now() - start < START_DEADLINE_MS) continue;
      throw unreachable(this.where, `it is still not connected, after ${START_DEADLINE_MS} ms`);
    }
  }

  async close(): Promise<void> {}

  send(command: RedisCommand): Promise<unknown> {
    return this.gate.send(command);
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
