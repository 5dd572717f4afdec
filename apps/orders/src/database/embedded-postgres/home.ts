import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  lstatSync,
  mkdirSync,
  realpathSync,
  rmdirSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { StartError } from '../../../../shared/src/start/start-error.js';
import { unprivilegedUser } from './server-user.js';
import type { ServerUser } from './server-user.js';

/** The folder that holds everything of one embedded server, and the account to run it as: `undefined` is our own. */
export interface ServerHome {
  readonly folder: string;
  readonly user: ServerUser | undefined;
}

const isRoot = process.getuid?.() === 0;

/** `<dataDir>/postgres`; where PostgreSQL cannot go there, a temporary folder named by the hash of that path. */
export function findServerHome(dataDir: string): ServerHome {
  const wanted = join(dataDir, 'postgres');
  const hash = createHash('sha256').update(wanted).digest('hex').slice(0, 16);
  const temporary = join(tmpdir(), `nestjs-idempotent-${hash}`);
  const home = prepare(wanted, ownerOf(wanted)) ?? prepare(temporary);
  if (home) return home;
  throw new StartError(
    `PostgreSQL can write neither to ${wanted} nor to ${temporary}. ` +
      'Set DATA_DIR to a folder that it can reach, or DATABASE_URL to a PostgreSQL of yours.',
  );
}

/** As root: data that a person's own start has made stay that person's. */
function ownerOf(folder: string): ServerUser | undefined {
  const { uid, gid } = lstatSync(folder, { throwIfNoEntry: false }) ?? { uid: 0, gid: 0 };
  return isRoot && uid !== 0 ? { uid, gid } : undefined;
}

function prepare(path: string, owner?: ServerUser): ServerHome | undefined {
  const user = owner ?? (isRoot ? unprivilegedUser() : undefined);
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 });
    // Anybody can make a folder of that name under the temporary one: never write into somebody else's.
    const { uid } = lstatSync(path);
    if (uid !== process.getuid?.() && uid !== user?.uid) return undefined;
    if (user) chownSync(path, user.uid, user.gid);
    chmodSync(path, 0o755);
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch {
    return undefined;
  }
  if (!user || canWrite(path, user)) return { folder: realpathSync(path), user };
  removeIfEmpty(path);
  removeIfEmpty(dirname(path));
  return undefined;
}

/** Asks the system itself: the mode bits on the way say too little (mounts, access lists, capabilities). */
function canWrite(folder: string, user: ServerUser): boolean {
  return spawnSync('sh', ['-c', 'cd "$1" && test -w .', 'sh', folder], { ...user, cwd: '/' }).status === 0;
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Not empty, so not ours to remove.
  }
}
