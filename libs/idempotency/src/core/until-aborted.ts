/** Waits for a promise until `signal` aborts: then its answer is `undefined`, and what it comes to is lost. */
export async function untilAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T | undefined> {
  if (signal.aborted) {
    promise.catch(() => undefined);
    return undefined;
  }
  let stop = (): void => {};
  const aborted = new Promise<undefined>((resolve) => {
    const listener = () => resolve(undefined);
    signal.addEventListener('abort', listener, { once: true });
    stop = () => signal.removeEventListener('abort', listener);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    stop();
  }
}
