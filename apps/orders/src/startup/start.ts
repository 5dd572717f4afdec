import type { INestApplication } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { findCheckout } from '../config/checkout.js';
import type { AppConfig } from '../config/app-config.js';
import { readConfig, withoutPassword } from '../config/read-config.js';
import { StartError } from '../config/start-error.js';
import { startEmbeddedPostgres } from '../database/embedded-postgres/index.js';
import type { Cleanups } from './cleanups.js';
import { closeApp } from './close-app.js';
import { Progress } from './progress.js';
import type { StopSignals } from './stop-signals.js';

/** The sample talks to this machine alone: its login is a header that anybody can write. */
const HOST = '127.0.0.1';

/** Brings everything up in four stages; what has to be undone at the end is left in `cleanups`, also when it fails half way. */
export async function start(env: NodeJS.ProcessEnv, cleanups: Cleanups, signals: StopSignals): Promise<void> {
  const config = readConfig(env, findCheckout());
  const progress = new Progress(4);
  const loading = loadFrameworks();
  loading.catch(() => undefined); // heard where it is awaited

  progress.begin('PostgreSQL');
  const url = await startDatabase(config, cleanups, progress);
  const { openDatabase, createApp, serveDocs } = await loading;
  signals.throwIfReceived();

  progress.begin('Schema');
  const { dataSource, migrated } = await openDatabase(url);
  cleanups.add('database connections', async () => {
    if (dataSource.isInitialized) await dataSource.destroy();
  });
  progress.line(migrated.length > 0 ? `made by ${migrated.join(', ')}` : 'up to date');
  signals.throwIfReceived();

  progress.begin('Application');
  const app = await createApp(config, dataSource);
  cleanups.add('application', () => closeApp(app));
  serveDocs(app);
  await app.init();
  progress.line(`${config.platform}, idempotency records in ${config.storage}`);
  signals.throwIfReceived();

  progress.begin('HTTP');
  const address = await listen(app, config.port);
  progress.line(`listening on ${address}`);
  progress.say(`Ready on ${address} (docs: /docs). Ctrl-C stops it. Try this, twice:`);
  progress.say(exampleFor(address));
}

/** Nest and TypeORM take as long to load as PostgreSQL takes to start, so both happen at the same time. */
async function loadFrameworks() {
  const [{ openDatabase }, { createApp }, { serveDocs }] = await Promise.all([
    import('../database/open-database.js'),
    import('./create-app.js'),
    import('./openapi.js'),
  ]);
  return { openDatabase, createApp, serveDocs };
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

async function listen(app: INestApplication, port: number): Promise<string> {
  try {
    await app.listen(port, HOST);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    throw new StartError(`Port ${port} is taken. Start on another one: PORT=${port + 1} npm start`, {
      cause,
    });
  }
  const server = app.getHttpServer() as Server;
  return `http://${HOST}:${(server.address() as AddressInfo).port}`;
}

/** With a key of its own for each start, so that the first of the two requests is a first one. */
function exampleFor(address: string): string {
  const body = JSON.stringify({ items: [{ sku: 'A-123', quantity: 1, unitPrice: 1999 }] });
  return [
    `  curl -i ${address}/orders -H 'content-type: application/json' -H 'x-user-id: ada' \\`,
    `    -H 'Idempotency-Key: try-${randomUUID().slice(0, 8)}' -d '${body}'`,
  ].join('\n');
}
