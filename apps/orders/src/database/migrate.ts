import type { DataSource, QueryRunner } from 'typeorm';
import { StartError } from '../../../shared/src/start/start-error.js';

const PATIENCE_S = 60;

/**
 * Apps that start at the same moment run the migrations one after another; the later ones find nothing left to do. The
 * lock belongs to a connection, so that the end of the connection, whatever its cause, is the end of the lock.
 */
export async function migrate(dataSource: DataSource): Promise<string[]> {
  const lock = dataSource.options.type === 'postgres' ? postgresLock : mariaDbLock;
  const runner = dataSource.createQueryRunner();
  try {
    await lock.take(runner);
    const migrations = await dataSource.runMigrations({ transaction: 'each' });
    await lock.giveBack(runner);
    return migrations.map(({ name }) => name);
  } finally {
    await runner.release();
  }
}

interface MigrationLock {
  take(runner: QueryRunner): Promise<void>;
  giveBack(runner: QueryRunner): Promise<void>;
}

const postgresLock: MigrationLock = {
  async take(runner) {
    await runner.query(`set lock_timeout = '${PATIENCE_S}s'`);
    // Any number of our own that no other program of the same database locks.
    await runner.query('select pg_advisory_lock(7309127)');
  },
  async giveBack(runner) {
    await runner.query('select pg_advisory_unlock(7309127)');
    await runner.query('reset lock_timeout');
  },
};

/** The whole server knows a lock by its name, so the database is part of it. */
const NAME = `concat('orders migrations ', md5(database()))`;

const mariaDbLock: MigrationLock = {
  async take(runner) {
    const [row] = (await runner.query(`select get_lock(${NAME}, ${PATIENCE_S}) as taken`)) as {
      taken: unknown;
    }[];
    if (Number(row?.taken) === 1) return;
    throw new StartError(
      `Another app has been changing the schema for more than ${PATIENCE_S} s. Look what holds it up.`,
    );
  },
  async giveBack(runner) {
    await runner.query(`select release_lock(${NAME})`);
  },
};
