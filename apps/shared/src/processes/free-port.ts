import { once } from 'node:events';
import { createServer } from 'node:net';
import { StartError } from '../start/start-error.js';

/** Below 32768, where Linux starts to hand out ports to outgoing connections: those may take any port at any moment. */
const LOWEST = 20_000;
const HIGHEST = 32_700;

export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isFree(preferred))) return preferred;
  for (let tries = 0; tries < 50; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) return port;
  }
  throw new StartError(`No free port found between ${LOWEST} and ${HIGHEST} on 127.0.0.1.`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
