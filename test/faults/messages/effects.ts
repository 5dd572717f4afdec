import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { DataSource } from 'typeorm';
import type { PlannedMessage } from './deliveries.js';
import { passing, say } from './held-points.js';

/** What consumers get: the envelope of the outbox. */
export interface OrderPlaced {
  readonly id: string;
  readonly correlationId: string;
  readonly data: Omit<PlannedMessage, 'id'>;
}

/** What the consumers of a run do. Nothing here keeps a second effect away: that is what is measured. */
@Injectable()
export class Effects {
  /** A service outside: connections and a database of its own. */
  private readonly mailer = new Pool({ connectionString: process.env['MAILER_URL'], max: 4 });

  constructor(private readonly dataSource: DataSource) {}

  /** In the transaction that is open here, if there is one. */
  async reserve({ id, data: { sku, quantity } }: OrderPlaced): Promise<void> {
    say('ran stock');
    await passing('stock begun');
    await this.dataSource.transaction(async (manager) => {
      await manager.query('insert into stock_moves (message, sku, quantity) values ($1, $2, $3)', [
        id,
        sku,
        quantity,
      ]);
      await manager.query('update stock set quantity = quantity - $2 where sku = $1', [sku, quantity]);
    });
    await passing('stock written');
  }

  /** As mail providers with idempotency keys do: every call is known, and the first with a key counts. */
  async send({ id }: OrderPlaced, key: string = randomUUID()): Promise<void> {
    await this.mailer.query(
      `with called as (insert into calls (message, key) values ($1, $2))
       insert into mails (key, message) values ($2, $1) on conflict (key) do nothing`,
      [id, key],
    );
    await passing('mail sent');
  }

  async onApplicationShutdown(): Promise<void> {
    await this.mailer.end();
  }
}
