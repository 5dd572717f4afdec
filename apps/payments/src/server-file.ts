import { renameSync, rmSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning, markOf } from '../../shared/src/processes/processes.js';
import type { ProcessMark } from '../../shared/src/processes/processes.js';

/** Where a payment service is to be found: what it writes when it is ready. */
export interface ServerMark extends ProcessMark {
  readonly url: string;
}

const fileIn = (dataDir: string): string => join(dataDir, 'server.json');

/** Appears with its whole content or not at all. */
export function writeServerFile(dataDir: string, url: string): void {
  const draft = `${fileIn(dataDir)}.${process.pid}`;
  writeFileSync(draft, JSON.stringify({ ...markOf(process.pid), url } satisfies ServerMark));
  renameSync(draft, fileIn(dataDir));
}

export function removeServerFile(dataDir: string): void {
  rmSync(fileIn(dataDir), { force: true });
}

/** The service of this folder; `undefined` also when the file is a leftover of one that was killed. */
export function findServer(dataDir: string): ServerMark | undefined {
  let text: string;
  try {
    text = readFileSync(fileIn(dataDir), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const mark = JSON.parse(text) as ServerMark;
  return isRunning(mark) ? mark : undefined;
}
