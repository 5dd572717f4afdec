import { Client } from 'pg';
import { startChildApp, type ChildApp } from '../support/child-app.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';

export type StorageName = 'redis' | 'typeorm';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Servers, and orders apps in processes of their own on one database and one storage. */
export class FaultBench {
  private readonly apps: ChildApp[] = [];
  private readonly clients: Client[] = [];
  private databases = 0;

  private constructor(
    readonly postgres: PostgresServer,
    readonly redis: RedisServer,
  ) {}

  static async start(): Promise<FaultBench> {
    const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
    return new FaultBench(postgres, redis);
  }

  /** Two apps, Express and Fastify, on a fresh database **without** the unique constraint that would hide a second run. */
  async pair(storage: StorageName, options: object): Promise<Pair> {
    this.databases += 1;
    const { url } = await this.postgres.createDatabase(`faults_${this.databases}`);
    const env = {
      DATABASE_URL: url,
      OPTIONS: JSON.stringify({ namespace: `faults-${this.databases}`, ...options }),
      ...(storage === 'redis' ? { REDIS_URL: this.redis.url } : {}),
    };
    const start = (platform: string) =>
      startChildApp('test/faults/orders-process.ts', { ...env, PLATFORM: platform });
    const [first, second] = await Promise.all([start('express'), start('fastify')]);
    this.apps.push(first, second);
    const client = new Client({ connectionString: url });
    this.clients.push(client);
    await client.connect();
    await dropUniqueConstraints(client);
    return new Pair(first, second, client);
  }

  async stop(): Promise<void> {
    await Promise.all(this.apps.map((app) => app.stop()));
    await Promise.all(this.clients.map((client) => client.end()));
    await Promise.all([this.postgres.stop(), this.redis.stop()]);
  }
}

export async function placeOrder(app: ChildApp, key: string): Promise<Answer> {
  const response = await fetch(`${app.url}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-user-id': 'ada', 'idempotency-key': key },
    body: JSON.stringify({ items: [{ sku: 'A-123', quantity: 1, unitPrice: 1999 }] }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

export class Pair {
  constructor(
    readonly first: ChildApp,
    readonly second: ChildApp,
    private readonly client: Client,
  ) {}

  /** From now on a handler takes as long as the database does for an insert, and the table starts empty. */
  async handlersTake(ms: number): Promise<void> {
    await this.client.query(`
      truncate orders;
      create or replace function dawdle() returns trigger language plpgsql as
        $$ begin perform pg_sleep(${ms / 1000}); return new; end $$;
      create or replace trigger dawdle before insert on orders for each row execute function dawdle()`);
  }

  /** 50 requests at the same moment, every other one to the other process. */
  async fifty(key: string): Promise<Answer[]> {
    return Promise.all(
      Array.from({ length: 50 }, (_, at) => placeOrder(at % 2 ? this.first : this.second, key)),
    );
  }

  /** Every handler that ran to its end has inserted a row. */
  async handlerExecutions(): Promise<number> {
    const { rows } = await this.client.query<{ count: number }>('select count(*)::int as count from orders');
    return rows[0]?.count ?? -1;
  }
}

async function dropUniqueConstraints(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select conname as name from pg_constraint where conrelid = 'orders'::regclass and contype = 'u'`,
  );
  for (const { name } of rows) await client.query(`alter table orders drop constraint "${name}"`);
  const { rows: indexes } = await client.query<{ name: string }>(
    `select indexrelid::regclass::text as name from pg_index where indrelid = 'orders'::regclass and indisunique and not indisprimary`,
  );
  for (const { name } of indexes) await client.query(`drop index ${name}`);
  if (rows.length + indexes.length === 0)
    throw new Error('orders has no unique constraint to drop: the test would prove nothing');
}
