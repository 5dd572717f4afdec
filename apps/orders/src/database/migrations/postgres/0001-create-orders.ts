import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateOrders1763800000001 implements MigrationInterface {
  readonly name = 'CreateOrders1763800000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table orders (
        id uuid primary key,
        user_id text not null,
        status text not null,
        items jsonb not null,
        total bigint not null check (total >= 0),
        note text,
        version integer not null check (version > 0),
        idempotency_key text,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      )`);
    await runner.query('create index orders_by_user on orders (user_id, created_at, id)');
    // Null keys (orders made by PUT) are distinct from each other, so only POST is held to one order per key.
    await runner.query('create unique index orders_idempotency_key on orders (user_id, idempotency_key)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table orders');
  }
}
