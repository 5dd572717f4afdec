import { CreateIdempotencyRecords1795305600000 } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { withoutPassword } from '../config/read-config.js';
import { StartError } from '../config/start-error.js';
import { Order } from '../orders/order.entity.js';
import { migrate } from './migrate.js';
import { CreateOrders1763800000001 } from './migrations/0001-create-orders.js';

export interface OpenDatabase {
  readonly dataSource: DataSource;
  /** Names of the migrations that this start has run; empty when the schema was up to date. */
  readonly migrated: readonly string[];
}

/** Connects, and brings the schema up to date. */
export async function openDatabase(url: string): Promise<OpenDatabase> {
  const dataSource = new DataSource({
    type: 'postgres',
    url,
    applicationName: 'orders',
    connectTimeoutMS: 5_000,
    entities: [Order],
    migrations: [CreateOrders1763800000001, CreateIdempotencyRecords1795305600000],
    migrationsTableName: 'orders_migrations',
  });
  try {
    await dataSource.initialize();
  } catch (cause) {
    throw new StartError(
      `The database ${withoutPassword(url)} does not let us in: ${reasonOf(cause)}. Check DATABASE_URL, or leave it out ` +
        'to use the embedded PostgreSQL.',
      { cause },
    );
  }
  try {
    return { dataSource, migrated: await migrate(dataSource, url) };
  } catch (error) {
    await dataSource.destroy();
    throw error;
  }
}

/** A host with two addresses fails with an AggregateError, whose own message is empty. */
function reasonOf(error: unknown): string {
  const causes: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return causes.map((cause) => (cause instanceof Error ? cause.message : String(cause))).join(', ');
}
