import type { INestApplication } from '@nestjs/common';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Platform, StorageName } from '../../apps/orders/src/config/app-config.js';
import { openDatabase } from '../../apps/orders/src/database/open-database.js';
import { startMessages } from '../../apps/orders/src/messages/start-messages.js';
import { createApp } from '../../apps/orders/src/startup/create-app.js';
import { freePort } from './free-port.js';

export interface OrdersApp {
  readonly app: INestApplication;
  readonly url: string;
  /** Where mails are: `mail/*.eml`. It is removed at the end, unless it was given. */
  readonly dataDir: string;
  close(): Promise<void>;
}

export interface OrdersAppOptions {
  readonly platform: Platform;
  readonly databaseUrl: string;
  readonly storage?: StorageName;
  readonly redisUrl?: string;
  /** Left out: nobody is there, as when the payment service is down. */
  readonly paymentsUrl?: string;
  /** @default the library's */
  readonly lease?: string;
  /** @default true where the records are in the database */
  readonly transactional?: boolean;
  /** A RabbitMQ. @default messages stay in the process */
  readonly amqpUrl?: string;
  /** @default a folder of its own */
  readonly dataDir?: string;
}

/** Where no server can be. */
const NOBODY = 'http://127.0.0.1:1';

/** The sample as `npm start` makes it, inside this process. */
export async function startOrdersApp(options: OrdersAppOptions): Promise<OrdersApp> {
  const { platform, databaseUrl, storage = 'typeorm', redisUrl = '' } = options;
  const { paymentsUrl = NOBODY, transactional = storage === 'typeorm', lease, amqpUrl } = options;
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'test-orders-app-'));
  const port = await freePort();
  const { dataSource } = await openDatabase(databaseUrl);
  const config = {
    platform,
    storage,
    transactional,
    lease,
    databaseUrl,
    redisUrl,
    paymentsUrl,
    amqpUrl,
    port,
    dataDir,
  };
  const app = await createApp(config, dataSource, { url: () => paymentsUrl, lost: () => undefined });
  await app.init();
  await startMessages(app);
  await app.listen(port, '127.0.0.1');
  const close = async (): Promise<void> => {
    await app.close();
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  };
  return { app, url: `http://127.0.0.1:${port}`, dataDir, close };
}
