import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerHome } from './home.js';
import { isRunning, markOf } from './processes.js';
import type { ProcessMark } from './processes.js';

/** Which apps use the server: one small file each, named by pid. Only touched under the lock. */
const appsFolder = (home: ServerHome): string => join(home.folder, 'apps');

export function registerApp(home: ServerHome): void {
  mkdirSync(appsFolder(home), { recursive: true });
  writeFileSync(join(appsFolder(home), String(process.pid)), JSON.stringify(markOf(process.pid)));
}

export function unregisterApp(home: ServerHome): void {
  rmSync(join(appsFolder(home), String(process.pid)), { force: true });
}

/** Forgets the apps that were killed; answers how many are alive. */
export function countLiveApps(home: ServerHome): number {
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
