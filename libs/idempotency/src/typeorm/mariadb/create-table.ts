import { quote, quoteTable } from './quoting.js';
import type { TableName } from '../table-name.js';

/** An id that is longer does not fit: InnoDB indexes at most 3072 bytes, and people's tools much less. */
export const MAX_ID_BYTES = 2048;

/**
 * One statement; the server lets one of several that run it at the same moment make the table, and the others find it.
 * Times are milliseconds since 1970 by the server's clock, so no session's time zone has a say in them.
 */
export function createTable(table: TableName): string {
  return `create table if not exists ${quoteTable(table)} (
  id varbinary(${MAX_ID_BYTES}) not null,
  state tinyint not null,
  attempt int not null,
  previous tinyint not null,
  owner char(36) character set ascii collate ascii_bin null,
  owner_found char(36) character set ascii collate ascii_bin null,
  fingerprint varbinary(255) not null,
  created_at bigint not null,
  lease_until bigint not null,
  expires_at bigint not null,
  steps_found int null,
  steps longblob null,
  result longblob null,
  primary key (id),
  key idempotency_records_expires_at (expires_at),
  constraint ${quote(`${table.name}_state`)} check (
    attempt > 0 and (state = 0 and result is null or state = 1 and result is not null and owner is not null))
) engine = InnoDB row_format = dynamic`;
}
