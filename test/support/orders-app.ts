import type { INestApplication } from '@nestjs/common';
import type { Platform, StorageName } from '../../apps/orders/src/config/app-config.js';
import { openDatabase } from '../../apps/orders/src/database/open-database.js';
import { createApp } from '../../apps/orders/src/startup/create-app.js';
import { freePort } from './free-port.js';

export interface OrdersApp {
  readonly app: INestApplication;
  readonly url: string;
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
}

/** Where no server can be. */
const NOBODY = 'http://127.0.0.1:1';

/** The sample as `npm start` makes it, inside this process. */
export async function startOrdersApp(options: OrdersAppOptions): Promise<OrdersApp> {
  const { platform, databaseUrl, storage = 'typeorm', redisUrl = '' } = options;
  const { paymentsUrl = NOBODY, transactional = storage === 'typeorm', lease } = options;
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
    port,
    dataDir: '',
  };
  const app = await createApp(config, dataSource, { url: () => paymentsUrl, lost: () => undefined });
  await app.listen(port, '127.0.0.1');
  return { app, url: `http://127.0.0.1:${port}`, close: () => app.close() };
}
