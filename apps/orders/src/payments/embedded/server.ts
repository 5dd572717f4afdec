import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findServer } from '../../../../payments/src/server-file.js';
import type { ServerMark } from '../../../../payments/src/server-file.js';
import { freePort } from '../../../../shared/src/processes/free-port.js';
import { hasEnded } from '../../../../shared/src/processes/processes.js';
import { StartError } from '../../../../shared/src/start/start-error.js';

const START_TIMEOUT_MS = 30_000;
/** One that stands still for longer is of no use to anybody. */
const HEALTH_TIMEOUT_MS = 2_000;
/** It lets charges finish that are running; a slow one takes 3 s. */
const STOP_TIMEOUT_MS = 10_000;

const logFile = (home: string): string => join(home, 'payments.log');

/** The service of `home` if it lives and is well; one that lives and does not answer, or cannot write, is ended. */
export async function runningServer(home: string): Promise<ServerMark | undefined> {
  const server = findServer(home);
  if (!server || (await answers(server))) return server;
  await endAtOnce(server);
  return undefined;
}

/** Starts the service of `home`, which has none, and resolves when it answers. It outlives this process. */
export async function startServer(home: string): Promise<ServerMark> {
  for (const giveUpAt = Date.now() + START_TIMEOUT_MS; ;) {
    const log = await launch(home, giveUpAt);
    const server = findServer(home);
    if (server) return server;
    // Somebody may have taken the port since we looked.
    if (Date.now() > giveUpAt || !/Port \d+ is taken/.test(log)) {
      throw new StartError(
        `The payment service did not start. Its log, ${logFile(home)}, ends with:\n${log.trim()}`,
      );
    }
  }
}

/** Lets it finish what it does; ends it at once when that takes too long. The ledger holds what it has confirmed. */
export async function stopServer(home: string): Promise<void> {
  const server = findServer(home);
  if (!server) return;
  send(server, 'SIGTERM');
  if (!(await hasEnded(server.pid, STOP_TIMEOUT_MS))) await endAtOnce(server);
}

async function endAtOnce(server: ServerMark): Promise<void> {
  send(server, 'SIGKILL');
  await hasEnded(server.pid, STOP_TIMEOUT_MS);
}

function send({ pid }: ServerMark, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has ended by itself since we looked
  }
}

async function answers({ url }: ServerMark): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) })).ok;
  } catch {
    return false;
  }
}

/** Resolves when the service is ready or has given up, with what it wrote to its log. */
async function launch(home: string, giveUpAt: number): Promise<string> {
  const file = logFile(home);
  const log = openSync(file, 'a');
  const from = statSync(file).size > 1_000_000 ? (truncateSync(file), 0) : statSync(file).size;
  const main = fileURLToPath(new URL('../../../../payments/src/main.js', import.meta.url));
  const { PATH, TMPDIR, PAYMENTS_FAULT } = process.env;
  // Detached: neither our end nor a Ctrl-C in our terminal reaches it.
  const child = spawn(process.execPath, [main], {
    cwd: home,
    env: { PATH, TMPDIR, PAYMENTS_FAULT, DATA_DIR: home, PORT: String(await freePort(rememberedPort(file))) },
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let ended = false;
  child.once('exit', () => (ended = true)).once('error', () => (ended = true));
  child.unref();
  while (!ended && Date.now() < giveUpAt && !findServer(home)) await sleep(5);
  if (!findServer(home)) child.kill('SIGKILL'); // too late: nobody would know of it
  return readFileSync(file).subarray(from).toString();
}

/** The last one that it listened on: so the address stays the same through a restart. */
function rememberedPort(log: string): number | undefined {
  const ports = [...readFileSync(log, 'utf8').matchAll(/listening on \S+:(\d+)/g)];
  return Number(ports.at(-1)?.[1]) || undefined;
}
