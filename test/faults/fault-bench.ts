import { Client } from 'pg';
import { startChildApp, type ChildApp } from '../support/child-app.js';
import { eventually } from '../support/postgres-fixture.js';
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

  /** Handlers wait in their insert until `free`; the table starts empty. */
  async hold(): Promise<void> {
    await this.client.query(`
      truncate orders;
      create or replace function held() returns trigger language plpgsql as
        $$ begin perform pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1); return new; end $$;
      create or replace trigger held before insert on orders for each row execute function held();
      select pg_advisory_lock(1)`);
  }

  /** From now on handlers go on. */
  async free(): Promise<void> {
    await this.client.query('select pg_advisory_unlock_all()');
  }

  /** A handler has come to its insert and waits there. */
  async held(): Promise<void> {
    const waiting = `select from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`;
    await eventually(async () => {
      if ((await this.client.query(waiting)).rowCount === 0) throw new Error('no handler waits');
    }, 10_000);
  }

  /** 50 requests at the same moment, every other one to the other process. */
  fifty(key: string): Promise<Answer>[] {
    return Array.from({ length: 50 }, (_, at) => placeOrder(at % 2 ? this.first : this.second, key));
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
