import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { StartError } from '../../../../shared/src/start/start-error.js';
import type { ServerHome } from './home.js';

export const SUPERUSER = 'postgres';

export const clusterFolder = (home: ServerHome): string => join(home.folder, 'cluster');
const passwordFile = (home: ServerHome): string => join(home.folder, 'password');

export function hasCluster(home: ServerHome): boolean {
  return existsSync(clusterFolder(home));
}

/** Made under another name and moved into place when it is whole: what a crash left half done is never started. */
export async function createCluster(initdb: string, home: ServerHome): Promise<void> {
  const draft = `${clusterFolder(home)}.partial`;
  rmSync(draft, { recursive: true, force: true });
  writePassword(home);
  const child = spawn(
    initdb,
    [
      `--pgdata=${draft}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile(home)}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--no-locale',
      '--no-instructions',
    ],
    { ...spawnAs(home), detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const [stderr, [code]] = await Promise.all([
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  if (code !== 0)
    throw new StartError(`PostgreSQL could not make its data folder ${draft}: ${stderr.trim()}`);
  renameSync(draft, clusterFolder(home));
}

export function readPassword(home: ServerHome): string {
  return readFileSync(passwordFile(home), 'utf8').trim();
}

/** Other accounts of the machine can reach 127.0.0.1 as well, so the server asks for a password that only we can read. */
function writePassword(home: ServerHome): void {
  const file = passwordFile(home);
  rmSync(file, { force: true });
  writeFileSync(file, `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 });
  if (home.user) chownSync(file, home.user.uid, home.user.gid);
}

/** A small environment of its own: PG* variables and locales of the developer's shell must not change the server. */
export function spawnAs({ folder, user }: ServerHome): {
  cwd: string;
  env: NodeJS.ProcessEnv;
  uid?: number | undefined;
  gid?: number | undefined;
} {
  const { PATH, TMPDIR, TZ } = process.env;
  return { cwd: folder, env: { PATH, TMPDIR, TZ, LC_ALL: 'C' }, uid: user?.uid, gid: user?.gid };
}
