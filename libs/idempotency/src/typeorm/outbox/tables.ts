import { quoteTable as quoteTableInMariaDb } from '../mariadb/quoting.js';
import { quote, quoteTable, type TableName } from '../table-name.js';

export const DEFAULT_OUTBOX_TABLE = 'outbox_messages';

/** What the columns for names hold on MariaDB: ids, aggregates, patterns and correlation ids, in UTF-8. */
export const MAX_NAME_BYTES = 255;

/** The statements that make and remove the outbox on one kind of database. */
export interface OutboxDdl {
  create(table: TableName): readonly string[];
  drop(table: TableName): readonly string[];
}

/**
 * Its indices are made so that no other one can be chosen for a question, whatever the planner believes about a table that was
 * analyzed long ago: a partial index on `sequence` alone would be as good as the primary key then, and that leads through
 * every message that was ever delivered.
 */
export const postgresOutbox: OutboxDdl = {
  create(table) {
    const quoted = quoteTable(table);
    const named = (suffix: string) => quote(`${table.name}_${suffix}`);
    return [
      `do $migration$ begin
perform pg_advisory_xact_lock(hashtext('nestjs-idempotent'), hashtext('${table.name}'));
create table if not exists ${quoted} (
  sequence bigint generated always as identity,
  id text collate "C" not null,
  aggregate text collate "C",
  pattern text collate "C" not null,
  payload text not null,
  headers text not null,
  correlation_id text collate "C" not null,
  attempts integer not null default 0,
  owner uuid,
  error text,
  added_at timestamp with time zone not null default clock_timestamp(),
  due_at timestamp with time zone not null default clock_timestamp(),
  died_at timestamp with time zone,
  delivered_at timestamp with time zone,
  constraint ${named('pkey')} primary key (sequence)
);
create unique index if not exists ${named('id')} on ${quoted} (id);
create index if not exists ${named('due')} on ${quoted} (due_at, sequence) where delivered_at is null and died_at is null;
create index if not exists ${named('heads')} on ${quoted} (aggregate, sequence) where delivered_at is null;
create index if not exists ${named('dead')} on ${quoted} (died_at) where delivered_at is null and died_at is not null;
create index if not exists ${named('owner')} on ${quoted} (owner) where owner is not null;
create index if not exists ${named('delivered')} on ${quoted} (delivered_at) where delivered_at is not null;
end $migration$`,
    ];
  },
  drop: (table) => [`drop table if exists ${quoteTable(table)}`],
};

/** Of indices, by which its statements call for them. */
export const MARIADB_INDEXES = {
  due: 'outbox_messages_due',
  heads: 'outbox_messages_heads',
  owner: 'outbox_messages_owner',
  delivered: 'outbox_messages_delivered',
} as const;

/**
 * One statement; of several processes that run it at the same moment one makes the table. Names are bytes, which no collation
 * compares; times are milliseconds since 1970 by the server's clock, so no session's time zone has a say in them.
 */
export const mariadbOutbox: OutboxDdl = {
  create: (table) => [
    `create table if not exists ${quoteTableInMariaDb(table)} (
  sequence bigint not null auto_increment,
  id varbinary(${MAX_NAME_BYTES}) not null,
  aggregate varbinary(${MAX_NAME_BYTES}) null,
  pattern varbinary(${MAX_NAME_BYTES}) not null,
  payload longtext character set utf8mb4 collate utf8mb4_bin not null,
  headers longtext character set utf8mb4 collate utf8mb4_bin not null,
  correlation_id varbinary(${MAX_NAME_BYTES}) not null,
  attempts int not null default 0,
  owner char(36) character set ascii collate ascii_bin null,
  error longtext character set utf8mb4 collate utf8mb4_bin null,
  added_at bigint not null,
  due_at bigint not null,
  died_at bigint null,
  delivered_at bigint null,
  primary key (sequence),
  unique key outbox_messages_id (id),
  key ${MARIADB_INDEXES.due} (delivered_at, died_at, due_at, sequence, aggregate),
  key ${MARIADB_INDEXES.heads} (aggregate, delivered_at, sequence, died_at),
  key ${MARIADB_INDEXES.owner} (owner),
  key ${MARIADB_INDEXES.delivered} (delivered_at, sequence)
) engine = InnoDB row_format = dynamic`,
  ],
  drop: (table) => [`drop table if exists ${quoteTableInMariaDb(table)}`],
};
