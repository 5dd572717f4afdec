import type { MigrationInterface, QueryRunner } from 'typeorm';
import { newSecret } from '../new-secret.js';

/** Payments, stock, the count of runs, and the secret of checkout tokens. */
export class CreatePayments1795305700000 implements MigrationInterface {
  readonly name = 'CreatePayments1795305700000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table payments (
        order_id uuid primary key,
        charge_id text not null unique,
        amount bigint not null check (amount >= 0),
        created_at timestamptz not null default now()
      )`);
    await runner.query(`
      create table stock_moves (
        order_id uuid not null,
        sku text not null,
        quantity integer not null,
        created_at timestamptz not null default now(),
        primary key (order_id, sku)
      )`);
    await runner.query(`
      create table handler_runs (
        id uuid primary key,
        operation text not null,
        user_id text not null,
        idempotency_key text,
        order_id uuid,
        created_at timestamptz not null default now()
      )`);
    await runner.query('create index handler_runs_by_key on handler_runs (user_id, idempotency_key)');
    await runner.query('create index handler_runs_by_order on handler_runs (order_id)');
    await runner.query('create table secrets (name text primary key, value text not null)');
    await runner.query('insert into secrets (name, value) values ($1, $2)', ['checkout', newSecret()]);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table payments, stock_moves, handler_runs, secrets');
  }
}
