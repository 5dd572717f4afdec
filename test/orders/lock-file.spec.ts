import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withLockFile } from '../../apps/shared/src/processes/lock-file.js';
import { markOf } from '../../apps/shared/src/processes/processes.js';
import { temporaryDataDir } from '../support/temporary-data-dir.js';

/** Beyond the highest pid that Linux gives. */
const NOBODY = 99_999_999;

let folder: string;
let lock: string;
beforeEach(() => {
  folder = temporaryDataDir();
  lock = join(folder, 'lock');
});
afterEach(() => rmSync(folder, { recursive: true }));

const leaveBehind = (path: string, holder: object) => writeFileSync(path, JSON.stringify(holder));

/** Many who want in at once; answers how many were inside together at most. */
async function race(): Promise<number> {
  let inside = 0;
  let most = 0;
  const visit = () =>
    withLockFile(lock, async () => {
      most = Math.max(most, ++inside);
      await sleep(1); // long enough for another to get in, if it could
      inside--;
    });
  await Promise.all(Array.from({ length: 20 }, visit));
  return most;
}

describe('the lock file', () => {
  it('lets one in at a time and leaves nothing behind', async () => {
    expect(await race()).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('lets one in at a time also when its holder died and all of them find out at once', async () => {
    leaveBehind(lock, { pid: NOBODY, started: '', id: 'dead' });
    expect(await race()).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('survives the death of who was about to remove a dead lock', async () => {
    leaveBehind(lock, { pid: NOBODY, started: '', id: 'dead' });
    leaveBehind(`${lock}.stale-dead`, { pid: NOBODY, started: '', id: 'dead-too' });
    expect(await race()).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is not held by a living process that only has the pid of the dead one', async () => {
    leaveBehind(lock, { pid: process.pid, started: 'in another life', id: 'dead' });
    await expect(withLockFile(lock, async () => 'in')).resolves.toBe('in');
  });

  it('names the living holder when it takes too long, and tells once that it waits', async () => {
    leaveBehind(lock, { ...markOf(process.pid), id: 'alive' });
    const waits: number[] = [];
    const entering = withLockFile(lock, async () => 'in', {
      timeoutMs: 60,
      onWait: (pid) => waits.push(pid),
    });
    await expect(entering).rejects.toThrow(`Process ${process.pid} has held ${lock}`);
    expect(waits).toEqual([process.pid]);
  });

  it('is given up when the work fails', async () => {
    const failing = withLockFile(lock, () => Promise.reject(new Error('the work failed')));
    await expect(failing).rejects.toThrow('the work failed');
    await expect(withLockFile(lock, async () => 'in')).resolves.toBe('in');
  });
});
