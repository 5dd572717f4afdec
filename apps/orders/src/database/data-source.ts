import {
  CreateIdempotencyRecords1795305600000,
  CreateOperationLog1795392000000,
  CreateOutbox1795478400000,
  MariaDbOperationLogEntry,
  MariaDbOutboxEntry,
  OperationLogEntry,
  OutboxEntry,
} from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { Secret } from '../checkout/secret.entity.js';
import { Order } from '../orders/order.entity.js';
import { Payment } from '../payments/payment.entity.js';
import { StockMove } from '../stock/stock-move.entity.js';
import { CreateTables1795305700000 } from './migrations/mariadb/0001-create-tables.js';
import { CreateOrders1763800000001 } from './migrations/postgres/0001-create-orders.js';
import { CreatePayments1795305700000 } from './migrations/postgres/0002-create-payments.js';

const ENTITIES = [Order, Payment, StockMove, Secret];
/** Made by the library, on either database. */
const OF_THE_LIBRARY = [
  CreateIdempotencyRecords1795305600000,
  CreateOperationLog1795392000000,
  CreateOutbox1795478400000,
];
/** What does not depend on the database. */
const COMMON = {
  migrationsTableName: 'orders_migrations',
};
const CONNECT_TIMEOUT_MS = 5_000;

/** For a URL of PostgreSQL or MariaDB; not connected yet. */
export function dataSourceFor(url: string): DataSource {
  return url.startsWith('postgres') ? postgres(url) : mariaDb(url);
}

const postgres = (url: string): DataSource =>
  new DataSource({
    ...COMMON,
    type: 'postgres',
    url,
    applicationName: 'orders',
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    entities: [...ENTITIES, OperationLogEntry, OutboxEntry],
    migrations: [CreateOrders1763800000001, CreatePayments1795305700000, ...OF_THE_LIBRARY],
  });

/** `mysql://` is what its own tools and most hosts call it. */
const mariaDb = (url: string): DataSource =>
  new DataSource({
    ...COMMON,
    type: 'mariadb',
    url: url.replace(/^mysql:/, 'mariadb:'),
    connectTimeout: CONNECT_TIMEOUT_MS,
    charset: 'utf8mb4',
    timezone: 'Z', // the columns are in UTC
    entities: [...ENTITIES, MariaDbOperationLogEntry, MariaDbOutboxEntry],
    migrations: [CreateTables1795305700000, ...OF_THE_LIBRARY],
  });
