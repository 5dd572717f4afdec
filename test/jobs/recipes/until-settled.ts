import { setTimeout as sleep } from 'node:timers/promises';
import { IdempotencyException } from 'nestjs-idempotent';

/** Asks again as long as `run()` says when to: whoever waits here goes on with the work if the one who is at it dies. */
export async function untilSettled<T>(run: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof IdempotencyException) || error.retryAfter === undefined) throw error;
      await sleep(error.retryAfter * 1000, undefined, { ref: false });
    }
  }
}
