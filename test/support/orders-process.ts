import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** What `npm start` runs. */
export const ordersMain = join(checkout, 'dist', 'apps', 'orders', 'apps', 'orders', 'src', 'main.js');

/** What `npm start` does first; nothing when these very sources are built already. */
export function buildOrders(): void {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(checkout, 'apps', 'orders', 'build.mjs')],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`The sample does not compile.\n${stdout}${stderr}`);
}

export interface OrdersProcess {
  readonly pid: number;
  /** Everything that it has said, on both streams. */
  said(): string;
  /** Resolves with the first capture of `pattern` when it has said something like that. */
  hears(pattern: RegExp): Promise<string>;
  /** Resolves with the address when it is ready. */
  ready(): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

const running = new Set<OrdersProcess>();
process.once('exit', () => running.forEach((app) => app.kill('SIGKILL')));

/** The built sample in a process of its own; with `['npm', 'start']` npm stands in between. */
export function spawnOrders(
  env: Readonly<Record<string, string>>,
  [program, ...args]: readonly [string, ...string[]] = [process.execPath, ordersMain],
): OrdersProcess {
  const { PATH = '', TMPDIR = '/tmp', HOME = '/' } = process.env;
  const child = spawn(program, args, {
    cwd: checkout,
    env: { PATH, TMPDIR, HOME, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  let closed = false;
  const ended = once(child, 'close').then(([code, signal]) => {
    closed = true;
    return (code ?? signal) as number | string;
  });

  const hears = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const match = pattern.exec(output);
      if (match) return match[1] ?? match[0];
      if (closed) throw new Error(`The app has ended without saying ${pattern}. It said:\n${output}`);
      await sleep(10);
    }
  };
  const app: OrdersProcess = {
    pid: child.pid ?? 0,
    said: () => output,
    hears,
    ready: () => hears(/^Ready on (\S+)/m),
    kill: (signal) => child.kill(signal),
    ended,
  };
  running.add(app);
  void ended.then(() => running.delete(app));
  return app;
}

/** For `afterEach`: a test that failed leaves nobody behind. */
export async function endAllOrders(): Promise<void> {
  for (const app of running) {
    app.kill('SIGKILL');
    await app.ended;
  }
}
