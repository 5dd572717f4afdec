import { setTimeout as sleep } from 'node:timers/promises';

/** For what happens in the background and gives no sign: tried again until it holds, for three seconds. */
export async function eventually(check: () => Promise<void> | void): Promise<void> {
  const until = performance.now() + 3000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > until) throw error;
      await sleep(20);
    }
  }
}
