import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

/** A server that runs as long as this process, however that ends. */
export interface KeptProcess {
  readonly pid: number;
  readonly ended: Promise<unknown>;
  /** Asks it to end, and waits until it has. */
  end(): Promise<void>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/**
 * Runs the program as long as its own standard input is open, which it is as long as the process that started it lives. The shell
 * is the parent, so the id that it kills cannot have become somebody else's.
 */
const KEEPER = `
exec 3<&0
"$@" </dev/null >>"$KEPT_LOG" 2>&1 & pid=$!
echo $pid
(read -r _ <&3; kill -9 $pid 2>/dev/null) >/dev/null & watcher=$!
wait $pid
kill -9 $watcher 2>/dev/null
`;

/** What it writes goes to `log`. @param env instead of the environment of this process, but for PATH */
export async function keepProcess(
  command: readonly string[],
  log: string,
  env: Readonly<Record<string, string>> = {},
): Promise<KeptProcess> {
  const keeper: ChildProcessByStdio<Writable, Readable, null> = spawn(
    'sh',
    ['-c', KEEPER, 'sh', ...command],
    {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: process.env['PATH'] ?? '', KEPT_LOG: log, ...env },
      // A Ctrl-C in the terminal must end us first, and the keeper by that.
      detached: true,
    },
  );
  keeper.stdin.on('error', () => undefined); // it has ended by itself
  const ended = once(keeper, 'exit');
  const pid = Number(String((await once(keeper.stdout, 'data'))[0]));
  const isRunning = () => keeper.exitCode === null && keeper.signalCode === null;
  return {
    pid,
    ended,
    async end() {
      if (isRunning()) process.kill(pid, 'SIGTERM');
      await ended;
    },
    async kill() {
      keeper.stdin.end();
      await ended;
    },
  };
}
