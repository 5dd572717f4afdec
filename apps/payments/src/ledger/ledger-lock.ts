import { join } from 'node:path';
import { withLockFile } from '../../../shared/src/processes/lock-file.js';

/** Long enough for a service that is just stopping. */
const TIMEOUT_MS = 5_000;

/**
 * Two services over one ledger would each charge without knowing of the other's keys. Resolves, when this process is the
 * one that may write it, with what gives it up.
 *
 * @throws StartError when another one goes on holding it
 */
export function holdLedger(dataDir: string): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    const held = withLockFile(
      join(dataDir, 'ledger.lock'),
      () =>
        new Promise<void>((release) => {
          resolve(async () => {
            release();
            await held;
          });
        }),
      { timeoutMs: TIMEOUT_MS },
    );
    held.catch(reject);
  });
}
