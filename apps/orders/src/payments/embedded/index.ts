import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { withLockFile } from '../../../../shared/src/processes/lock-file.js';
import { countLiveApps, registerApp, unregisterApp } from '../../../../shared/src/processes/user-registry.js';
import { runningServer, startServer, stopServer } from './server.js';
import type { PaymentsAddress } from '../gateway/payments-address.js';

export interface EmbeddedPayments extends PaymentsAddress {
  /** Where it is, in words. */
  readonly description: string;
  /** Gives the service up. The last app to do so stops it. */
  release(): Promise<'stopped' | 'left running'>;
}

type Report = (line: string) => void;

/**
 * The payment service in a process of its own, shared by all apps that name the same `dataDir`. Like the embedded
 * PostgreSQL it outlives each of them: an app that is killed with -9 takes no charge with it.
 */
export async function startEmbeddedPayments(
  dataDir: string,
  report: Report = () => undefined,
): Promise<EmbeddedPayments> {
  const home = join(dataDir, 'payments');
  mkdirSync(home, { recursive: true });
  let server = await locked(home, report, async () => {
    registerApp(home);
    try {
      return (await runningServer(home)) ?? (await startServer(home));
    } catch (error) {
      await release(home);
      throw error;
    }
  });

  let reviving: Promise<void> | undefined;
  let released = false;
  const revive = async (): Promise<void> => {
    server = await locked(home, report, async () => {
      if (released) return server;
      return (await runningServer(home)) ?? (await startServer(home));
    });
  };
  return {
    description: `ready on ${server.url}, pid ${server.pid}, ledger in ${home}`,
    url: () => server.url,
    lost() {
      if (released) return;
      reviving ??= revive()
        .catch((error: unknown) => report(`has died and does not start again: ${String(error)}`))
        .finally(() => (reviving = undefined));
    },
    async release() {
      released = true;
      await reviving;
      return locked(home, report, () => release(home));
    },
  };
}

async function release(home: string): Promise<'stopped' | 'left running'> {
  unregisterApp(home);
  if (countLiveApps(home) > 0) return 'left running';
  await stopServer(home);
  return 'stopped';
}

function locked<T>(home: string, report: Report, work: () => Promise<T>): Promise<T> {
  return withLockFile(join(home, 'lock'), work, {
    onWait: (holder) => report(`waiting for process ${holder}, which is starting or stopping it`),
  });
}
