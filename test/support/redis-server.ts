import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  /** The process stands still, as on a frozen host: connections stay open and nobody answers. */
  pause(): void;
  resume(): void;
  /** Ends it at once, as a crash would. `startRedis({ port })` starts another one in its place. */
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  readonly port?: number;
  /** Further options of redis-server, for example `['--maxmemory', '10mb']`. */
  readonly args?: readonly string[];
  /** The text of a configuration file, for those that must be able to rewrite theirs: sentinels. */
  readonly config?: string;
}

type Keeper = ChildProcessByStdio<Writable, Readable, null>;

const READY_WITHIN_MS = 5_000;
const ATTEMPTS = 5;

/**
 * Runs the server as long as its own standard input is open, which it is as long as this process lives, however it
 * ends. The shell is the parent, so the id that it kills cannot have become somebody else's.
 */
const KEEPER = `
dir=$1; bin=$2; shift 2
command -v "$bin" >/dev/null || { rm -rf "$dir"; exit 127; }
"$bin" "$@" & echo $!
read -r _; kill -9 $! 2>/dev/null; wait; rm -rf "$dir"
`;

/** `REDIS_SERVER_BIN` names another server that speaks the same, such as `valkey-server`. */
const BINARY = process.env['REDIS_SERVER_BIN'] ?? 'redis-server';

/** Starts a real `redis-server` from the PATH on 127.0.0.1, without persistence. It never outlives this process. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options.port ?? (await freePort()), options);
    } catch (error) {
      // Somebody else may have taken the port since it was found free.
      if (options.port !== undefined || attempt === ATTEMPTS) throw error;
    }
  }
}

async function startOnce(
  port: number,
  { args: more = [], config }: RedisServerOptions,
): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'test-redis-'));
  const log = join(dir, 'redis.log');
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--logfile', log];
  const file = config === undefined ? [] : [join(dir, 'redis.conf')];
  for (const path of file) writeFileSync(path, config ?? '');
  const own = [dir, BINARY, ...file, ...place, '--save', '', '--appendonly', 'no'];
  const args = ['-c', KEEPER, 'sh', ...own, ...more];
  // Detached: a Ctrl-C in the terminal must end us first, and the keeper by that.
  const keeper: Keeper = spawn('sh', args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  const ended = once(keeper, 'exit');
  const stop = async () => {
    keeper.stdin.end();
    await ended;
  };
  const line = await Promise.race([
    once(keeper.stdout, 'data'),
    ended.then(() => Promise.reject(new Error(`${BINARY} is not on the PATH: run \`npm run pretest\`.`))),
  ]);
  const pid = Number(String(line[0]));
  try {
    await waitUntilReady(port, pid);
  } catch (error) {
    const said = readLog(log);
    await stop();
    throw new Error(`redis-server did not start on port ${port}. ${said}`, { cause: error });
  }
  return {
    port,
    pid,
    url: `redis://127.0.0.1:${port}`,
    pause: () => process.kill(pid, 'SIGSTOP'),
    resume: () => process.kill(pid, 'SIGCONT'),
    stop,
  };
}

async function waitUntilReady(port: number, pid: number): Promise<void> {
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await sleep(10)) {
    const answer = await ask(port, 'INFO server').catch((error: Error) => error);
    if (typeof answer === 'string') {
      if (answer.includes(`process_id:${pid}\r`)) return;
      throw new Error(`Somebody else answers on port ${port}.`);
    }
    if (Date.now() > deadline) throw answer;
  }
}

/** Sends one command by hand and gives what comes back first. */
function ask(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`));
    socket.setTimeout(1000, () => socket.destroy(new Error('no answer')));
    socket.once('error', reject);
    socket.once('data', (data) => {
      resolve(data.toString());
      socket.destroy();
    });
  });
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join('\n');
  } catch {
    return '';
  }
}
