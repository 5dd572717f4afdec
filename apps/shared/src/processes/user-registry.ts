import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning, markOf } from './processes.js';
import type { ProcessMark } from './processes.js';

/** Which apps use the server that lives in `home`: one small file each, named by pid. Only touched under its lock. */
const appsFolder = (home: string): string => join(home, 'apps');

export function registerApp(home: string): void {
  mkdirSync(appsFolder(home), { recursive: true });
  writeFileSync(join(appsFolder(home), String(process.pid)), JSON.stringify(markOf(process.pid)));
}

export function unregisterApp(home: string): void {
  rmSync(join(appsFolder(home), String(process.pid)), { force: true });
}

/** Forgets the apps that were killed; answers how many are alive. */
export function countLiveApps(home: string): number {
  mkdirSync(appsFolder(home), { recursive: true });
  const files = readdirSync(appsFolder(home)).map((name) => join(appsFolder(home), name));
  const dead = files.filter((file) => !isAppRunning(file));
  for (const file of dead) rmSync(file, { force: true });
  return files.length - dead.length;
}

/** A file that a crash left half written belongs to nobody who lives: its writer held the lock. */
function isAppRunning(file: string): boolean {
  try {
    return isRunning(JSON.parse(readFileSync(file, 'utf8')) as ProcessMark);
  } catch {
    return false;
  }
}
