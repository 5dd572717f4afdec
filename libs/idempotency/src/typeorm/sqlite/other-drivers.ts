const REASONS: Readonly<Record<string, string>> = {
  sqlite:
    "On SQLite the storage works with the package better-sqlite3: install it, and give a DataSource of type 'better-sqlite3'. It opens the same files.",
  sqljs:
    "sql.js keeps the whole database in the memory of this process and now and then writes a copy of it, so a crash would lose records. Use type 'better-sqlite3'.",
};

/** Why a DataSource of another SQLite driver holds no records; `undefined` when there is nothing more to say. */
export function reasonAgainst(type: string): string | undefined {
  return REASONS[type];
}
