import { afterEach } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const HOLDER = `
const db = new (require('better-sqlite3'))(process.argv[1]);
db.exec('begin exclusive');
process.stdout.write('held');
process.stdin.once('end', () => { db.exec('commit'); db.close(); }).resume();`;

const children = new Set<ChildProcess>();
afterEach(() => children.forEach((child) => child.kill('SIGKILL')));

/** Another process has the file's write lock until `end` is called, at the latest until the test is over. */
export async function holdSqliteLock(file: string): Promise<{ end(): Promise<void> }> {
  const child = spawn('node', ['-e', HOLDER, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.add(child);
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('the lock could not be taken'))),
  ]);
  return {
    async end() {
      const exit = once(child, 'exit');
      child.stdin.end();
      await exit;
      children.delete(child);
    },
  };
}

/** The longest time for which the event loop has stood still since then. */
export function watchEventLoop(): { end(): number } {
  let longestMs = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
  }, 1).unref();
  return {
    end() {
      clearInterval(timer);
      return Math.max(longestMs, performance.now() - last);
    },
  };
}
