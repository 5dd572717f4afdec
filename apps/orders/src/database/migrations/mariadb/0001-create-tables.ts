import type { MigrationInterface, QueryRunner } from 'typeorm';
import { newSecret } from '../new-secret.js';

/** Users and keys are compared as they are: other collations equate `Ada`, `ada` and `ada `. */
const COMPARED = 'character set utf8mb4 collate utf8mb4_nopad_bin';
const UUID = 'char(36) character set ascii collate ascii_bin';
/** Without a time zone of the server's or of the session's. */
const CREATED = 'datetime(6) not null default (utc_timestamp(6))';

/**
 * The same tables as on PostgreSQL. MariaDB commits each statement that makes a table, so a crash may leave some of them;
 * said again, they are completed.
 */
export class CreateTables1795305700000 implements MigrationInterface {
  readonly name = 'CreateTables1795305700000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table if not exists orders (
        id ${UUID} primary key,
        user_id varchar(128) ${COMPARED} not null,
        status varchar(16) not null,
        items json not null,
        total bigint not null check (total >= 0),
        note text,
        version integer not null check (version > 0),
        idempotency_key varchar(255) ${COMPARED},
        created_at ${CREATED},
        updated_at ${CREATED},
        key orders_by_user (user_id, created_at, id),
        unique key orders_idempotency_key (user_id, idempotency_key)
      ) character set utf8mb4`);
    await runner.query(`
      create table if not exists payments (
        order_id ${UUID} primary key,
        charge_id varchar(64) ${COMPARED} not null unique,
        amount bigint not null check (amount >= 0),
        created_at ${CREATED}
      )`);
    await runner.query(`
      create table if not exists stock_moves (
        order_id ${UUID} not null,
        sku varchar(64) ${COMPARED} not null,
        quantity integer not null,
        created_at ${CREATED},
        primary key (order_id, sku)
      )`);
    await runner.query(`
      create table if not exists handler_runs (
        id ${UUID} primary key,
        operation varchar(32) not null,
        user_id varchar(128) ${COMPARED} not null,
        idempotency_key varchar(255) ${COMPARED},
        order_id ${UUID},
        created_at ${CREATED},
        key handler_runs_by_key (user_id, idempotency_key),
        key handler_runs_by_order (order_id)
      )`);
    await runner.query(
      'create table if not exists secrets (name varchar(32) primary key, value varchar(43) not null)',
    );
    await runner.query('insert ignore into secrets (name, value) values (?, ?)', ['checkout', newSecret()]);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table orders, payments, stock_moves, handler_runs, secrets');
  }
}
