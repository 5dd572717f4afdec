// Migrates a SQLite file in a process of its own, when its parent says so: see sqlite-start.spec.ts.
import 'reflect-metadata';
import { DataSource } from 'typeorm';
import { CreateIdempotencyRecords1795305600000 } from '../../libs/idempotency/src/typeorm/index.js';

const [database = ''] = process.argv.slice(2);

process.once('message', () => {
  const migrations = [CreateIdempotencyRecords1795305600000];
  new DataSource({ type: 'better-sqlite3', database, migrations, migrationsRun: true })
    .initialize()
    .then((dataSource) => dataSource.destroy())
    .then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
});
process.send?.('ready');
