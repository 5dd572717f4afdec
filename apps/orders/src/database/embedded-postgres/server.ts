import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StartError } from '../../../../shared/src/start/start-error.js';
import { clusterFolder, spawnAs } from './cluster.js';
import { freePort } from '../../../../shared/src/processes/free-port.js';
import type { ServerHome } from './home.js';
import { findPostmaster, removeStalePidFile } from './postmaster.js';
import type { Postmaster } from './postmaster.js';

/** After a crash PostgreSQL first replays its log, which takes as long as it takes. */
const START_TIMEOUT_MS = 60_000;

/** Says in the log why this start failed and another one soon will not. */
const WORTH_ANOTHER_TRY = [
  /pre-existing shared memory block .* is still in use/, // workers of a server that was killed have not gone yet
  /could not bind|could not create any TCP\/IP sockets/, // somebody took the port since we looked
];

/** Starts the server of `home`, which has none, and resolves when it accepts connections. It outlives this process. */
export async function startServer(postgres: string, home: ServerHome): Promise<Postmaster> {
  removeStalePidFile(home);
  for (const giveUpAt = Date.now() + START_TIMEOUT_MS; ; await sleep(200)) {
    const port = await freePort(rememberedPort(home));
    const log = await launch(postgres, port, home, giveUpAt);
    const server = findPostmaster(home);
    if (server?.ready) {
      rememberPort(home, server.port);
      return server;
    }
    if (Date.now() > giveUpAt || !WORTH_ANOTHER_TRY.some((pattern) => pattern.test(log))) {
      throw new StartError(`PostgreSQL did not start. Its log, ${logFile(home)}, ends with:\n${log.trim()}`);
    }
  }
}

/** Waits for a server that another process has started, and that may still be on its way up or down. */
export async function awaitRunningServer(home: ServerHome): Promise<Postmaster | undefined> {
  for (const giveUpAt = Date.now() + START_TIMEOUT_MS; Date.now() < giveUpAt; await sleep(10)) {
    const server = findPostmaster(home);
    if (!server || server.ready) return server;
  }
  throw new StartError(
    `PostgreSQL in ${home.folder} is running but not ready. See its log, ${logFile(home)}.`,
  );
}

/** Resolves when the server is ready or has given up, with what it wrote to its log. */
async function launch(postgres: string, port: number, home: ServerHome, giveUpAt: number): Promise<string> {
  const file = logFile(home);
  const log = openSync(file, 'a');
  const from = statSync(file).size > 1_000_000 ? (truncateSync(file), 0) : statSync(file).size;
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories='];
  // Detached: neither our end nor a Ctrl-C in our terminal reaches it.
  const child = spawn(
    postgres,
    ['-D', clusterFolder(home), '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
    { ...spawnAs(home), detached: true, stdio: ['ignore', log, log] },
  );
  closeSync(log);
  let ended = false;
  child.once('exit', () => (ended = true)).once('error', () => (ended = true));
  child.unref();
  while (!ended && Date.now() < giveUpAt && !findPostmaster(home)?.ready) await sleep(5);
  return readFileSync(file).subarray(from).toString();
}

const logFile = (home: ServerHome): string => join(home.folder, 'postgres.log');
const portFile = (home: ServerHome): string => join(home.folder, 'port');

function rememberPort(home: ServerHome, port: number): void {
  writeFileSync(portFile(home), `${port}\n`);
}

function rememberedPort(home: ServerHome): number | undefined {
  try {
    return Number(readFileSync(portFile(home), 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}
