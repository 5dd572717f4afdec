import { NestFactory } from '@nestjs/core';
import { CreateOutbox1795478400000, Outbox, OutboxModule } from 'nestjs-idempotent/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import type { Randomness } from '../../../libs/idempotency/src/core/ports.js';
import type { DatabaseAddress } from '../../support/postgres-server.js';

/** What a message says of itself; `number` counts the messages of its aggregate. */
export interface Numbered {
  readonly aggregate: string;
  readonly number: number;
}

export interface WritersPlan {
  readonly messages: number;
  readonly aggregates: number;
  readonly writers: number;
  readonly random: Randomness;
  allow(part: number): Promise<void>;
}

/** Of the transactions that add messages, so many are rolled back. */
const ROLLED_BACK = 0.15;
const MOST_AT_ONCE = 3;

class ChangedMind extends Error {}

/** Transactions side by side that lock an aggregate, change it, and add messages about it. */
export class OutboxWriters {
  /** Ids of messages that were added, and rolled back. */
  readonly rolledBack = new Set<string>();
  transactions = 0;
  private reserved = 0;

  private constructor(
    private readonly dataSource: DataSource,
    private readonly outbox: Outbox,
    private readonly closeApp: () => Promise<void>,
  ) {}

  static async open(address: DatabaseAddress): Promise<OutboxWriters> {
    const migrations = [CreateOutbox1795478400000];
    const dataSource = await new DataSource({
      ...address,
      migrations,
      migrationsRun: true,
      poolSize: 16,
    }).initialize();
    await dataSource.query('create table aggregates (id text primary key, number integer not null)');
    await dataSource.query(
      'create table written (id text primary key, aggregate text not null, number integer not null)',
    );
    const imports = [OutboxModule.forRoot({ dataSource, relay: false })];
    const app = await NestFactory.createApplicationContext(
      { module: class {}, imports },
      { logger: ['warn', 'error'], abortOnError: false },
    );
    return new OutboxWriters(dataSource, app.get(Outbox), () => app.close());
  }

  async write(plan: WritersPlan): Promise<void> {
    const names = Array.from({ length: plan.aggregates }, (_, at) => `order:${at}`);
    await this.dataSource.query('insert into aggregates select unnest($1::text[]), 0', [names]);
    await Promise.all(Array.from({ length: plan.writers }, () => this.writer(plan, names)));
  }

  /** What is committed, by id. */
  async written(): Promise<ReadonlyMap<string, Numbered>> {
    const rows: (Numbered & { id: string })[] = await this.dataSource.query('select * from written');
    return new Map(rows.map(({ id, aggregate, number }) => [id, { aggregate, number }]));
  }

  counts() {
    return this.outbox.counts();
  }

  async close(): Promise<void> {
    await this.closeApp();
    await this.dataSource.destroy();
  }

  private async writer({ messages, random, allow }: WritersPlan, names: readonly string[]): Promise<void> {
    while (this.reserved < messages) {
      const count = Math.min(1 + Math.floor(random.fraction() * MOST_AT_ONCE), messages - this.reserved);
      this.reserved += count;
      await allow(this.reserved / messages);
      const aggregate = names[Math.floor(random.fraction() * names.length)] as string;
      const ids = Array.from({ length: count }, () => random.uuid());
      const isRolledBack = random.fraction() < ROLLED_BACK;
      this.transactions += 1;
      try {
        await this.dataSource.transaction((manager) => this.change(manager, aggregate, ids, isRolledBack));
      } catch (error) {
        if (!(error instanceof ChangedMind)) throw error;
        ids.forEach((id) => this.rolledBack.add(id));
        this.reserved -= count;
      }
    }
  }

  private async change(
    manager: EntityManager,
    aggregate: string,
    ids: readonly string[],
    isRolledBack: boolean,
  ): Promise<void> {
    const [row] = await manager.query<[Numbered]>('select number from aggregates where id = $1 for update', [
      aggregate,
    ]);
    const messages = ids.map((id, at) => ({ id, number: row.number + 1 + at }));
    await this.outbox.add(
      messages.map(({ id, number }) => ({
        id,
        pattern: 'orders.changed',
        aggregate,
        payload: { aggregate, number },
      })),
      { manager },
    );
    await manager.query('update aggregates set number = number + $2 where id = $1', [aggregate, ids.length]);
    for (const { id, number } of messages)
      await manager.query('insert into written (id, aggregate, number) values ($1, $2, $3)', [
        id,
        aggregate,
        number,
      ]);
    if (isRolledBack) throw new ChangedMind();
  }
}
