import { NestFactory } from '@nestjs/core';
import type { INestApplication } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ProblemFilter } from '../../shared/src/problems/problem.filter.js';
import { findCheckout } from '../../shared/src/start/checkout.js';
import type { Cleanups } from '../../shared/src/start/cleanups.js';
import { closeApp } from '../../shared/src/start/close-app.js';
import { listen } from '../../shared/src/start/listen.js';
import { AppModule } from './app.module.js';
import { readConfig } from './config/read-config.js';
import { ConnectionBreakFilter } from './faults/connection-break.js';
import type { Fault } from './faults/faults.js';
import { holdLedger } from './ledger/ledger-lock.js';
import { Ledger } from './ledger/ledger.js';
import { removeServerFile, writeServerFile } from './server-file.js';

/** Brings the service up; what has to be undone at the end is left in `cleanups`, also when it fails half way. */
export async function start(env: NodeJS.ProcessEnv, cleanups: Cleanups): Promise<void> {
  const { port, dataDir, fault } = readConfig(env, findCheckout());
  mkdirSync(dataDir, { recursive: true });
  cleanups.add('lock of the ledger', await holdLedger(dataDir));
  const path = join(dataDir, 'ledger');
  const ledger = await Ledger.open(path);
  cleanups.add('ledger', () => ledger.close());

  const app = await createApp(ledger, fault);
  cleanups.add('application', () => closeApp(app));
  const url = await listen(app, port);
  cleanups.add('file that tells where it is', async () => removeServerFile(dataDir));
  writeServerFile(dataDir, url);
  console.log(
    `Payments: listening on ${url}, pid ${process.pid}, ${ledger.entries.length} entries in ${path}`,
  );
}

async function createApp(ledger: Ledger, fault: Fault | undefined): Promise<INestApplication> {
  const adapter = new ExpressAdapter();
  adapter.disable('etag');
  adapter.disable('x-powered-by');
  const app = await NestFactory.create(AppModule.register(ledger, fault), adapter, {
    logger: ['warn', 'error', 'fatal'],
    abortOnError: false,
  });
  app.useGlobalFilters(new ProblemFilter(app.getHttpAdapter()), new ConnectionBreakFilter());
  return app;
}
