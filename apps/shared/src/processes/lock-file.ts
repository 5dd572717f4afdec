import { randomUUID } from 'node:crypto';
import { link, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { StartError } from '../start/start-error.js';
import { isRunning, markOf } from './processes.js';
import type { ProcessMark } from './processes.js';

interface LockHolder extends ProcessMark {
  readonly id: string;
}

export interface LockOptions {
  /** Called once, when somebody else holds the lock. */
  readonly onWait?: (holderPid: number) => void;
  readonly timeoutMs?: number;
}

/** Runs `work` while no other process is inside a `withLockFile` of the same path. A holder that died holds nothing. */
export async function withLockFile<T>(
  path: string,
  work: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  await acquire(path, options);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function acquire(path: string, { onWait, timeoutMs = 60_000 }: LockOptions): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs;
  let told = false;
  while (!(await create(path))) {
    await removeIfStale(path);
    const holder = await read(path);
    if (!holder) continue;
    if (!told) onWait?.(holder.pid);
    told = true;
    if (Date.now() > giveUpAt) {
      throw new StartError(
        `Process ${holder.pid} has held ${path} for more than ${timeoutMs / 1000} s. Stop that process, then start again.`,
      );
    }
    await sleep(20);
  }
}

/** A link appears with its whole content or not at all, so no reader ever meets a lock file that is half written. */
async function create(path: string): Promise<boolean> {
  const holder: LockHolder = { ...markOf(process.pid), id: randomUUID() };
  const draft = `${path}.${holder.id}`;
  await writeFile(draft, JSON.stringify(holder));
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

/**
 * Two processes may find the same dead holder; the slower one must not remove the lock that the faster one has taken
 * since. So only one may remove: who makes the guard named after the dead holder. A guard can be stale in its turn.
 */
async function removeIfStale(path: string): Promise<void> {
  const holder = await read(path);
  if (!holder || isRunning(holder)) return;
  const guard = `${path}.stale-${holder.id}`;
  if (!(await create(guard))) return removeIfStale(guard);
  try {
    if ((await read(path))?.id === holder.id) await unlink(path);
  } finally {
    await unlink(guard);
  }
}

async function read(path: string): Promise<LockHolder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as LockHolder;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
