import { createServer } from 'node:net';

/** Below the range from which outgoing connections take theirs: a port found by `listen(0)` may be taken by one. */
const FIRST = 20_000;
const LAST = 32_767;

/**
 * A port on 127.0.0.1 that nobody listens on. The start is random, so that test processes that look at the same time
 * seldom find the same one; who starts a server on it should still try again when it is taken meanwhile.
 */
export async function freePort(): Promise<number> {
  const count = LAST - FIRST + 1;
  const start = Math.floor(Math.random() * count);
  for (let step = 0; step < count; step += 1) {
    const port = FIRST + ((start + step) % count);
    if (await isFree(port)) return port;
  }
  throw new Error(`Every port from ${FIRST} to ${LAST} is taken.`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
