import { quote, quoteTable, type TableName } from '../table-name.js';

/**
 * Takes the write lock of the transaction, and waits for it; all else that it does is to free a page, where the file is
 * set up for that. TypeORM begins a transaction without the lock, and of one that has read already (`IF NOT EXISTS` of
 * what is there) SQLite refuses the first write at once while another process writes.
 */
const WRITE_LOCK = 'PRAGMA incremental_vacuum(1)';

/** Written as TypeORM would write it of the entity: it reads names of constraints from this text. */
export function createTable(table: TableName): readonly string[] {
  const quoted = quoteTable(table);
  const named = (suffix: string) => quote(`${table.name}_${suffix}`);
  return [
    WRITE_LOCK,
    `CREATE TABLE IF NOT EXISTS ${quoted} (
  "id" text PRIMARY KEY NOT NULL,
  "state" integer NOT NULL,
  "attempt" integer NOT NULL,
  "previous" integer NOT NULL,
  "owner" text,
  "owner_found" text,
  "fingerprint" text NOT NULL,
  "created_at" integer NOT NULL,
  "lease_until" integer NOT NULL,
  "expires_at" integer NOT NULL,
  "steps_found" integer,
  "steps" blob,
  "result" blob,
  CONSTRAINT ${named('state')} CHECK (attempt > 0 and (state = 0 and result is null or state = 1 and result is not null and owner is not null)))`,
    `CREATE INDEX IF NOT EXISTS ${named('expires_at')} ON ${quoted} ("expires_at")`,
  ];
}
