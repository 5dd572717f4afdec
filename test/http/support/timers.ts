/** Every timer that is set from now on, and whether it is still to fire. Also those that do not hold the process. */
export function watchTimers(): { pending(): number; stop(): void } {
  const pending = new Set<unknown>();
  const { setTimeout: realSet, clearTimeout: realClear } = globalThis;
  globalThis.setTimeout = ((fn: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
    const timer = realSet(() => {
      pending.delete(timer);
      fn(...args);
    }, ms);
    // Ours are below this folder; the rest of the world has timers of its own.
    if (new Error().stack?.includes('/libs/idempotency/src/')) pending.add(timer);
    return timer;
  }) as typeof setTimeout;
  globalThis.clearTimeout = ((timer: NodeJS.Timeout) => {
    pending.delete(timer);
    realClear(timer);
  }) as typeof clearTimeout;
  return {
    pending: () => pending.size,
    stop: () => {
      globalThis.setTimeout = realSet;
      globalThis.clearTimeout = realClear;
    },
  };
}
