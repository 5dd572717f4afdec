import { quote, quoteTable, type TableName } from '../table-name.js';

/**
 * One statement under a lock of its own: several processes that migrate at the same moment wait for one another, in
 * every transaction mode of TypeORM. (`if not exists` alone fails when two create at once.)
 */
export function createTable(table: TableName): string {
  const quoted = quoteTable(table);
  const named = (suffix: string) => quote(`${table.name}_${suffix}`);
  return `do $migration$ begin
perform pg_advisory_xact_lock(hashtext('nestjs-idempotent'), hashtext('${table.name}'));
create table if not exists ${quoted} (
  id text collate "C" not null,
  state smallint not null,
  attempt integer not null,
  previous smallint not null,
  owner uuid,
  owner_found uuid,
  fingerprint text collate "C" not null,
  created_at timestamp with time zone not null,
  lease_until timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  steps_found integer,
  steps bytea,
  result bytea,
  constraint ${named('pkey')} primary key (id),
  constraint ${named('state')} check (
    attempt > 0 and (state = 0 and result is null or state = 1 and result is not null and owner is not null))
);
create index if not exists ${named('expires_at')} on ${quoted} (expires_at);
end $migration$`;
}
