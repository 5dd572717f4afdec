import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** `npm ci` removes it. */
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/test-servers', import.meta.url));

/**
 * The data of a database server that never ran, in the folder `data`. `make` makes them there the first time; from then on
 * they are copied, which takes a tenth of that. Each server has data of its own either way.
 *
 * @param what tells apart whatever `make` would make differently: the server's version, its options
 */
export async function freshData(
  data: string,
  what: readonly string[],
  make: () => Promise<void>,
): Promise<void> {
  const kept = join(CACHE, createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16));
  if (existsSync(kept)) return copy(kept, data);
  await make();
  const mine = `${kept}.${process.pid}`;
  mkdirSync(CACHE, { recursive: true });
  try {
    await copy(data, mine);
    // Whole, or not there at all: others look for it meanwhile.
    renameSync(mine, kept);
  } catch (error) {
    rmSync(mine, { recursive: true, force: true });
    // Somebody was faster.
    if (!existsSync(kept)) throw error;
  }
}

/** With owners and modes: servers insist on theirs. */
async function copy(from: string, to: string): Promise<void> {
  await run('cp', ['-Rp', from, to]);
}
