import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createConnection, type Connection } from 'mysql2/promise';
import { freePort } from './free-port.js';
import { freshData } from './fresh-data.js';

/** What a TypeORM DataSource needs to connect. */
export interface MariaDbAddress {
  readonly type: 'mariadb';
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly database: string;
}

export interface MariaDbServer {
  readonly port: number;
  readonly pid: number;
  /** An empty database, for one suite alone. */
  createDatabase(name: string): Promise<MariaDbAddress>;
  /** As the user who may do everything, on a connection of its own. */
  asRoot<T>(work: (connection: Connection) => Promise<T>): Promise<T>;
  /** It stands still, as on a frozen host: connections stay open and nobody answers. */
  pause(): void;
  resume(): void;
  /** It is gone at once, as in a crash, and its data stay. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, on the same port. */
  restart(): Promise<void>;
  /** Ends it at once and removes its data. */
  stop(): Promise<void>;
}

export interface MariaDbServerOptions {
  /** Further options of `mariadbd`, for example `['--log-bin=log']`. */
  readonly args?: readonly string[];
}

const run = promisify(execFile);
const HOST = '127.0.0.1';
const USER = 'root';
const ATTEMPTS = 5;
const READY_WITHIN_MS = 20_000;
/** Where Debian and others keep `mariadbd`: not everybody's PATH leads there. As in install-servers.mjs. */
const PATH = [process.env['PATH'], '/usr/sbin', '/usr/local/sbin', '/usr/libexec'].join(delimiter);
/** The default is six times as large, for every server. */
const LOG_SIZE = '--innodb-log-file-size=16M';
/** Nothing need survive a crash of the machine, so nothing waits for a disk; and many servers fit beside each other. */
const ARGS = [
  '--innodb-flush-log-at-trx-commit=0',
  '--innodb-flush-method=nosync',
  '--innodb-doublewrite=0',
  LOG_SIZE,
  '--innodb-buffer-pool-size=64M',
  '--performance-schema=off',
  '--max-connections=300',
  '--skip-name-resolve',
  '--skip-log-bin',
];

/**
 * Runs the server as long as its own standard input is open, which it is as long as this process lives, however it
 * ends; then the data go as well, unless it was told `keep`. The shell is the parent, so the id that it kills cannot have
 * become somebody else's.
 */
const KEEPER = `
dir=$1; shift
"$@" >>"$dir/server.log" 2>&1 & echo $!
read -r word; kill -9 $! 2>/dev/null; wait; [ "$word" = keep ] || rm -rf "$dir"
`;

/** Starts a real MariaDB on 127.0.0.1 with data of its own; it never outlives this process. */
export async function startMariaDb(options: MariaDbServerOptions = {}): Promise<MariaDbServer> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return await startOnce(port, options.args ?? []);
    } catch (error) {
      // Somebody else may have taken the port since it was found free.
      if (attempt === ATTEMPTS || !/Address already in use/.test(String(error))) throw error;
    }
  }
}

async function startOnce(port: number, more: readonly string[]): Promise<MariaDbServer> {
  const dir = mkdtempSync(join(tmpdir(), 'test-mariadb-'));
  const data = join(dir, 'data');
  const user = await unprivileged(dir);
  try {
    await initialize(dir, user);
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
  const place = [`--datadir=${data}`, `--port=${port}`, `--bind-address=${HOST}`, `--socket=${dir}/socket`];
  const args = ['--no-defaults', ...user, ...place, ...ARGS, ...more];
  let process_ = await runServer(dir, port, args);
  const asRoot: MariaDbServer['asRoot'] = async (work) => {
    const connection = await createConnection({ host: HOST, port, user: USER });
    try {
      return await work(connection);
    } finally {
      connection.destroy();
    }
  };
  return {
    port,
    get pid() {
      return process_.pid;
    },
    asRoot,
    pause: () => process.kill(process_.pid, 'SIGSTOP'),
    resume: () => process.kill(process_.pid, 'SIGCONT'),
    kill: () => process_.kill('keep'),
    async restart() {
      process_ = await runServer(dir, port, args);
    },
    stop: () => process_.kill(''),
    async createDatabase(name) {
      await asRoot((connection) => connection.query('create database ??', [name]));
      return { type: 'mariadb', host: HOST, port, username: USER, database: name };
    },
  };
}

interface ServerProcess {
  readonly pid: number;
  /** Its data go, or are kept for a restart. */
  kill(word: 'keep' | ''): Promise<void>;
}

async function runServer(dir: string, port: number, args: readonly string[]): Promise<ServerProcess> {
  // Detached: a Ctrl-C in the terminal must end us first, and the keeper by that.
  const keeper = spawn('sh', ['-c', KEEPER, 'sh', dir, 'mariadbd', ...args], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
    cwd: '/',
    env: environment(dir),
  });
  // Nobody waits for us because of it, should a test forget to stop it.
  keeper.unref();
  const ended = once(keeper, 'exit');
  const kill = async (word: 'keep' | '') => {
    keeper.stdin.end(`${word}\n`);
    await ended;
  };
  const [line] = (await once(createInterface(keeper.stdout), 'line')) as [string];
  const pid = Number(line);
  try {
    await waitUntilReady(port, pid);
  } catch (error) {
    const said = readFileSync(join(dir, 'server.log'), 'utf8').trim();
    await kill('');
    throw new Error(`MariaDB did not start on port ${port}. ${said}`, { cause: error });
  }
  return { pid, kill };
}

async function initialize(dir: string, user: readonly string[]): Promise<void> {
  const options = [...user, `--datadir=${join(dir, 'data')}`, '--auth-root-authentication-method=normal'];
  const args = ['--no-defaults', ...options, '--skip-test-db', '--skip-name-resolve', LOG_SIZE];
  const here = { cwd: '/', env: environment(dir) };
  try {
    const { stdout: version } = await run('mariadbd', ['--version'], here);
    const what = [version, ...args.filter((arg) => !arg.includes(dir))];
    await freshData(join(dir, 'data'), what, async () => void (await run('mariadb-install-db', args, here)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error('mariadb-install-db is not on the PATH: run `npm run pretest`.', { cause: error });
  }
}

/** Servers that start at the same moment would meet in a temporary folder that they share. */
function environment(dir: string): NodeJS.ProcessEnv {
  return { ...process.env, PATH, TMPDIR: dir };
}

/** As root the server wants to be told whom to run as; the package makes that account. */
async function unprivileged(dir: string): Promise<readonly string[]> {
  if (process.getuid?.() !== 0) return [];
  const id = async (flag: string) => Number((await run('id', [flag, 'mysql'])).stdout);
  chownSync(dir, await id('-u'), await id('-g'));
  chmodSync(dir, 0o700);
  return ['--user=mysql'];
}

async function waitUntilReady(port: number, pid: number): Promise<void> {
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await sleep(20)) {
    process.kill(pid, 0);
    try {
      const connection = await createConnection({ host: HOST, port, user: USER });
      connection.destroy();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}
