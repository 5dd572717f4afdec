import type { DataSource, DataSourceOptions } from 'typeorm';

export type BetterSqlite3Options = Extract<DataSourceOptions, { type: 'better-sqlite3' }>;

/** What we call of the package `better-sqlite3`. Every call works in this thread, until it is done. */
export interface SqliteClient {
  prepare(sql: string): SqliteStatement;
  pragma(text: string, options: { readonly simple: true }): unknown;
  /** False after SQLite has rolled back by itself, as when the disk is full. */
  readonly inTransaction: boolean;
}

interface SqliteStatement {
  /** It returns rows. */
  readonly reader: boolean;
  all(values: Readonly<Record<string, unknown>>): readonly Record<string, unknown>[];
  run(values: Readonly<Record<string, unknown>>): { readonly changes: number };
}

/** The connection that TypeORM's driver has opened. */
export function clientOf(dataSource: DataSource): SqliteClient {
  return (dataSource.driver as unknown as { readonly databaseConnection: SqliteClient }).databaseConnection;
}

/** Somebody else is writing, or the file is being recovered or closed: ask again. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED');
}

export function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}
