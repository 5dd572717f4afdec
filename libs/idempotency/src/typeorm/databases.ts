import type { Database } from './database.js';
import { mariadb } from './mariadb/mariadb.js';
import { postgres } from './postgres/postgres.js';
import { sqlite } from './sqlite/sqlite.js';

const DATABASES: readonly Database[] = [postgres, mariadb, sqlite];

/** What `type` of a DataSource may be. */
export const SUPPORTED_TYPES: readonly string[] = DATABASES.flatMap(({ types }) => types);

export function databaseOf(type: string): Database | undefined {
  return DATABASES.find(({ types }) => types.includes(type));
}
