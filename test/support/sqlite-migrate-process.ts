// Migrates the SQLite files that its parent names, and tells how each ended: see sqlite-start.spec.ts.
import 'reflect-metadata';
import { DataSource } from 'typeorm';
import { CreateIdempotencyRecords1795305600000 } from '../../libs/idempotency/src/typeorm/index.js';

async function migrate(database: string): Promise<void> {
  const migrations = [CreateIdempotencyRecords1795305600000];
  const options = { type: 'better-sqlite3', database, migrations, migrationsRun: true } as const;
  const dataSource = await new DataSource(options).initialize();
  await dataSource.destroy();
}

process.on('message', (database: string) => {
  migrate(database).then(
    () => process.send?.('done'),
    (error: unknown) => process.send?.(String(error)),
  );
});
process.send?.('ready');
