import pg from 'pg';
import type { DataSource } from 'typeorm';

/** Any number of our own that no other program of the same database locks. */
const LOCK = 7_309_127;

/**
 * Apps that start at the same moment run the migrations one after another; the later ones find nothing left to do. The
 * lock has a connection of its own, so that the end of the connection, whatever its cause, is the end of the lock.
 */
export async function migrate(dataSource: DataSource, url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'orders migrations' });
  await client.connect();
  try {
    await client.query(`set lock_timeout = '60s'`);
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    const migrations = await dataSource.runMigrations({ transaction: 'each' });
    return migrations.map(({ name }) => name);
  } finally {
    await client.end();
  }
}
