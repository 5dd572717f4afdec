import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { clusterFolder } from './cluster.js';
import type { ServerHome } from './home.js';
import { commandLineOf, hasEnded, isAlive } from '../../../../shared/src/processes/processes.js';

/** What PostgreSQL itself writes about its running server into `postmaster.pid`. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

const pidFile = (home: ServerHome): string => join(clusterFolder(home), 'postmaster.pid');

/** The live server of this data folder, or `undefined` also when the file is a leftover of a crash. */
export function findPostmaster(home: ServerHome): Postmaster | undefined {
  const lines = readPidFile(home)?.split('\n');
  const pid = Number(lines?.[0]);
  if (!lines || !pid || !isAlive(pid) || !isOurs(pid, home)) return undefined;
  return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
}

/**
 * PostgreSQL refuses to start while the pid in its file is alive at all. After a crash of the machine, or in a new
 * container, that number may belong to some other program, so the leftover has to go.
 */
export function removeStalePidFile(home: ServerHome): boolean {
  if (readPidFile(home) === undefined || findPostmaster(home)) return false;
  rmSync(pidFile(home));
  return true;
}

/** Fast shutdown: open transactions are rolled back, data are flushed. */
export async function stopPostmaster(home: ServerHome): Promise<void> {
  const server = findPostmaster(home);
  if (!server) return;
  process.kill(server.pid, 'SIGINT');
  if (await hasEnded(server.pid, 15_000)) return;
  process.kill(server.pid, 'SIGQUIT'); // immediate: the next start recovers from the log, nothing is lost
  await hasEnded(server.pid, 5_000);
}

/** Where the system does not tell what a process is, we believe the file. */
function isOurs(pid: number, home: ServerHome): boolean {
  return commandLineOf(pid)?.includes(clusterFolder(home)) ?? true;
}

function readPidFile(home: ServerHome): string | undefined {
  try {
    return readFileSync(pidFile(home), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
