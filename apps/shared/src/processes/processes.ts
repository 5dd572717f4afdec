import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process as a file remembers it. A pid alone is not enough: after a crash the number may belong to somebody else. */
export interface ProcessMark {
  readonly pid: number;
  readonly started: string;
}

const hasProc = existsSync('/proc/self/stat');

export function markOf(pid: number): ProcessMark {
  return { pid, started: startedAt(pid) ?? '' };
}

export function isRunning(mark: ProcessMark): boolean {
  return isAlive(mark.pid) && (startedAt(mark.pid) ?? '') === mark.started;
}

/** `false` for a zombie too: it holds nothing any more, but keeps its pid until its parent looks (in a container: never). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false; // EPERM: alive, another user's
  }
  return !hasProc || procStat(pid)?.[0] !== 'Z';
}

/** Whether the process is gone within the time. */
export async function hasEnded(pid: number, timeoutMs: number): Promise<boolean> {
  for (const giveUpAt = Date.now() + timeoutMs; Date.now() < giveUpAt;) {
    if (!isAlive(pid)) return true;
    await sleep(10);
  }
  return false;
}

/** `undefined` where the system does not tell. */
export function commandLineOf(pid: number): string | undefined {
  if (hasProc) return readProc(`${pid}/cmdline`)?.replaceAll('\0', ' ');
  return ps(pid, 'command');
}

function startedAt(pid: number): string | undefined {
  if (!hasProc) return ps(pid, 'lstart');
  const ticksSinceBoot = procStat(pid)?.[19];
  return ticksSinceBoot && `${readProc('sys/kernel/random/boot_id')?.trim()}/${ticksSinceBoot}`;
}

/** The fields of /proc/<pid>/stat from the third on (state); the second, a name in brackets, may hold anything. */
function procStat(pid: number): string[] | undefined {
  const stat = readProc(`${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch {
    return undefined; // the process is gone, or hidden from us
  }
}

function ps(pid: number, column: 'command' | 'lstart'): string | undefined {
  try {
    return execFileSync('ps', ['-o', `${column}=`, '-p', String(pid)], {
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim();
  } catch {
    return undefined;
  }
}
