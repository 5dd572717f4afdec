import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { StorageAddress } from './lock-storages.js';

const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Another process holds the lock on each of the storages. */
export async function holdElsewhere(
  addresses: readonly StorageAddress[],
  lock: { namespace: string; name: string; lease: string },
): Promise<{ signal(name: NodeJS.Signals): void; kill(): Promise<void> }> {
  const args = ['--disable-warning=ExperimentalWarning', '--import', './test/support/ts-hooks.mjs'];
  const { namespace: NAMESPACE, name: LOCK, lease: LEASE } = lock;
  const child = spawn('node', [...args, 'test/patterns/locking-process.ts'], {
    env: { ...process.env, STORAGES: JSON.stringify(addresses), LOCK, LEASE, NAMESPACE },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  const ended = once(child, 'exit').then(() => running.delete(child));
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  const held = once(child.stdout, 'data');
  await Promise.race([held, ended.then(() => Promise.reject(new Error('it ended before it held the lock')))]);
  return { signal: (name) => void child.kill(name), kill };
}
