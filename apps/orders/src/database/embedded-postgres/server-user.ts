import { execFileSync, spawnSync } from 'node:child_process';
import { StartError } from '../../../../shared/src/start/start-error.js';

/** The account that PostgreSQL runs as when it cannot be the one that started us. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody` exists everywhere, so no account has to be made on somebody's machine. */
const NAMES = ['postgres', 'nobody'];

/** initdb and postgres refuse to run as root: then an account without rights takes its place. */
export function unprivilegedUser(): ServerUser {
  for (const name of NAMES) {
    const user = lookUp(name);
    // A rootless container may list an account that it cannot switch to.
    if (user && spawnSync('true', { ...user, cwd: '/' }).status === 0) return user;
  }
  throw new StartError(
    `PostgreSQL does not run as root, and neither ${NAMES.join(' nor ')} can be used in its place. ` +
      'Start the app as an ordinary user, or set DATABASE_URL to a PostgreSQL of yours.',
  );
}

function lookUp(name: string): ServerUser | undefined {
  try {
    const [uid, gid] = ['-u', '-g'].map((flag) =>
      Number(execFileSync('id', [flag, name], { stdio: 'pipe' })),
    );
    return uid !== undefined && gid !== undefined ? { uid, gid } : undefined;
  } catch {
    return undefined;
  }
}
