import { randomUUID } from 'node:crypto';
import { findCheckout } from '../../../shared/src/start/checkout.js';
import type { AppConfig } from '../config/app-config.js';
import { withoutPassword } from '../../../shared/src/start/environment.js';
import { readConfig } from '../config/read-config.js';
import { startEmbeddedPayments } from '../payments/embedded/index.js';
import type { PaymentsAddress } from '../payments/gateway/payments-address.js';
import { startEmbeddedPostgres } from '../database/embedded-postgres/index.js';
import type { Cleanups } from '../../../shared/src/start/cleanups.js';
import { closeApp } from '../../../shared/src/start/close-app.js';
import { listen } from '../../../shared/src/start/listen.js';
import { Progress } from './progress.js';
import type { StopSignals } from '../../../shared/src/start/stop-signals.js';

/** Brings everything up in six stages; what has to be undone at the end is left in `cleanups`, also when it fails half way. */
export async function start(env: NodeJS.ProcessEnv, cleanups: Cleanups, signals: StopSignals): Promise<void> {
  const config = readConfig(env, findCheckout());
  const progress = new Progress(6);
  const loading = loadFrameworks();
  loading.catch(() => undefined); // heard where it is awaited
  const paymentsStarting = startPayments(config, cleanups, progress);
  paymentsStarting.catch(() => undefined);

  progress.begin('PostgreSQL');
  const url = await startDatabase(config, cleanups, progress);
  const { openDatabase, createApp, serveDocs, startMessages } = await loading;
  signals.throwIfReceived();

  progress.begin('Schema');
  const { dataSource, migrated } = await openDatabase(url);
  cleanups.add('database connections', async () => {
    if (dataSource.isInitialized) await dataSource.destroy();
  });
  progress.line(migrated.length > 0 ? `made by ${migrated.join(', ')}` : 'up to date');
  signals.throwIfReceived();

  progress.begin('Payments');
  const payments = await paymentsStarting;
  progress.line(payments.description);
  signals.throwIfReceived();

  progress.begin('Application');
  const app = await createApp(config, dataSource, payments.address);
  cleanups.add('application', () => closeApp(app));
  serveDocs(app);
  await app.init();
  progress.line(`${config.platform}, idempotency records in ${config.storage}`);
  signals.throwIfReceived();

  progress.begin('Messages');
  progress.line(await startMessages(app));
  signals.throwIfReceived();

  progress.begin('HTTP');
  const address = await listen(app, config.port);
  progress.line(`listening on ${address}`);
  progress.say(`Ready on ${address} (docs: /docs). Ctrl-C stops it. Try this, twice:`);
  progress.say(exampleFor(address));
}

/** Nest and TypeORM take as long to load as PostgreSQL takes to start, so both happen at the same time. */
async function loadFrameworks() {
  const [{ openDatabase }, { createApp }, { serveDocs }, { startMessages }] = await Promise.all([
    import('../database/open-database.js'),
    import('./create-app.js'),
    import('./openapi.js'),
    import('../messages/start-messages.js'),
  ]);
  return { openDatabase, createApp, serveDocs, startMessages };
}

async function startDatabase(config: AppConfig, cleanups: Cleanups, progress: Progress): Promise<string> {
  if (config.databaseUrl !== undefined) {
    progress.line(`yours, ${withoutPassword(config.databaseUrl)}`);
    return config.databaseUrl;
  }
  const postgres = await startEmbeddedPostgres(config.dataDir, progress.line);
  cleanups.add('PostgreSQL', async () => progress.say(`PostgreSQL ${await postgres.release()}`));
  return postgres.url;
}

interface Payments {
  readonly address: PaymentsAddress;
  readonly description: string;
}

/** It starts beside PostgreSQL, so what it has to say comes when its turn is. */
async function startPayments(
  { paymentsUrl, dataDir }: AppConfig,
  cleanups: Cleanups,
  progress: Progress,
): Promise<Payments> {
  if (paymentsUrl !== undefined) {
    const url = paymentsUrl.replace(/\/+$/, '');
    return {
      address: { url: () => url, lost: () => undefined },
      description: `yours, ${url}`,
    };
  }
  const starting = startEmbeddedPayments(dataDir, (line) => progress.say(`Payments: ${line}`));
  cleanups.add('payment service', async () => {
    const address = await starting.catch(() => undefined); // it has given itself up then
    if (address) progress.say(`Payments ${await address.release()}`);
  });
  const address = await starting;
  return { address, description: address.description };
}

/** With a key of its own for each start, so that the first of the two requests is a first one. */
function exampleFor(address: string): string {
  const body = JSON.stringify({ items: [{ sku: 'A-123', quantity: 1, unitPrice: 1999 }] });
  return [
    `  curl -i ${address}/orders -H 'content-type: application/json' -H 'x-user-id: ada' \\`,
    `    -H 'Idempotency-Key: try-${randomUUID().slice(0, 8)}' -d '${body}'`,
  ].join('\n');
}
