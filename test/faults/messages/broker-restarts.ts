import { setTimeout as sleep } from 'node:timers/promises';
import type { RabbitServer } from '../../support/rabbitmq-server.js';
import type { Pace } from './pace.js';

export type Halt = Parameters<RabbitServer['halt']>[0];

export interface RestartsPlan {
  readonly rabbit: RabbitServer;
  readonly pace: Pace;
  /** For how long it is away, besides the time that it takes to start. */
  readonly awayMs: number;
}

/** Ends the broker in the middle of a run and starts it again with its data, once per `halts`. Answers how often it did. */
export async function restartBroker(
  { rabbit, pace, awayMs }: RestartsPlan,
  halts: readonly Halt[],
): Promise<number> {
  let restarts = 0;
  for (const [at, how] of halts.entries()) {
    await pace.fault((at + 1) / (halts.length + 1), async () => {
      await rabbit.halt(how);
      await sleep(awayMs);
      await rabbit.start();
      restarts += 1;
    });
  }
  return restarts;
}
