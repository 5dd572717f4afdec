import { findServer } from '../../apps/payments/src/server-file.js';
import { hasEnded } from '../../apps/shared/src/processes/processes.js';
import { join } from 'node:path';

/** The payment service that `npm start` has left running over this folder. */
export const paymentsOf = (dataDir: string) => findServer(join(dataDir, 'payments'));

/** Whatever a test has left running, also when it failed. */
export async function endPayments(dataDir: string): Promise<void> {
  const server = paymentsOf(dataDir);
  if (!server) return;
  process.kill(server.pid, 'SIGKILL');
  await hasEnded(server.pid, 5_000);
}
