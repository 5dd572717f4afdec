import { Client } from 'pg';
import type { PostgresServer } from '../../support/postgres-server.js';
import { DataSource } from 'typeorm';
import { CreateIdempotencyRecords1795305600000 } from 'nestjs-idempotent/typeorm';
import { SKUS, type Deliveries } from './deliveries.js';

/** How many messages had their effect so often. */
export interface EffectCounts {
  readonly once: number;
  readonly never: number;
  readonly moreThanOnce: number;
  /** Effects of messages that nobody has sent. */
  readonly invented: number;
}

export interface CountedEffects {
  readonly stock: EffectCounts;
  readonly mails: EffectCounts;
  /** How often the mail service was called in vain, because it knew the key. */
  readonly repeatedCalls: number;
  /** Units that are missing from the stock, or left in it, against what the messages say. */
  readonly wrongUnits: number;
}

const STOCK = 1_000_000;

/** One database of the consumers, with the records, and one of the mail service. */
export class ConsumersDatabase {
  private constructor(
    readonly url: string,
    readonly mailerUrl: string,
  ) {}

  static async create(
    server: PostgresServer,
    name: string,
    deliveries: Deliveries,
  ): Promise<ConsumersDatabase> {
    const shop = await server.createDatabase(`${name}_shop`);
    const mailer = await server.createDatabase(`${name}_mailer`);
    const migrations = [CreateIdempotencyRecords1795305600000];
    await (await new DataSource({ ...shop, migrations, migrationsRun: true }).initialize()).destroy();
    await asking(shop.url, async (client) => {
      await client.query('create table stock (sku text primary key, quantity integer not null)');
      await client.query(
        'create table stock_moves (message text not null, sku text not null, quantity integer not null)',
      );
      await client.query('insert into stock select unnest($1::text[]), $2', [SKUS, STOCK]);
    });
    await asking(mailer.url, async (client) => {
      await client.query('create table calls (message text not null, key text not null)');
      await client.query('create table mails (key text primary key, message text not null)');
    });
    for (const { url } of [shop, mailer]) await asking(url, (client) => keepPlan(client, deliveries));
    return new ConsumersDatabase(shop.url, mailer.url);
  }

  async count(): Promise<CountedEffects> {
    return asking(this.url, (shop) =>
      asking(this.mailerUrl, async (mailer) => ({
        stock: await effectsIn(shop, 'stock_moves'),
        mails: await effectsIn(mailer, 'mails'),
        repeatedCalls: await numberOf(
          mailer,
          'select (select count(*) from calls) - (select count(*) from mails) as number',
        ),
        wrongUnits: await numberOf(
          shop,
          `select coalesce(sum(abs(${STOCK} - stock.quantity - coalesce(moved, 0))), 0) as number
           from stock left join (select sku, sum(quantity) as moved from planned group by sku) as p using (sku)`,
        ),
      })),
    );
  }
}

async function keepPlan(client: Client, { messages }: Deliveries): Promise<void> {
  await client.query(
    'create table planned (message text primary key, sku text not null, quantity integer not null)',
  );
  await client.query('insert into planned select * from unnest($1::text[], $2::text[], $3::integer[])', [
    messages.map(({ id }) => id),
    messages.map(({ sku }) => sku),
    messages.map(({ quantity }) => quantity),
  ]);
}

async function effectsIn(client: Client, table: string): Promise<EffectCounts> {
  const { rows } = await client.query<Record<keyof EffectCounts, number>>(
    `select count(*) filter (where times = 1 and planned)::integer as once,
            count(*) filter (where times = 0)::integer as never,
            count(*) filter (where times > 1 and planned)::integer as "moreThanOnce",
            count(*) filter (where not planned)::integer as invented
     from (select count(e.message) as times, bool_or(p.message is not null) as planned
           from planned p full join ${table} e on e.message = p.message group by coalesce(p.message, e.message)) as counted`,
  );
  return rows[0] as EffectCounts;
}

async function numberOf(client: Client, sql: string): Promise<number> {
  const { rows } = await client.query<{ number: string }>(sql);
  return Number(rows[0]?.number);
}

async function asking<T>(url: string, ask: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await ask(client);
  } finally {
    await client.end();
  }
}
