import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Outbox, OutboxModule } from 'nestjs-idempotent/typeorm';
import { DataSource, type DataSourceOptions, type Logger } from 'typeorm';

/**
 * Adds the message `m2` of aggregate `a` and relays; kills itself at `CRASH`: `before the commit` of that message, or `before the mark`
 * of whatever it has published. `DATABASE` holds the options of its database.
 */
const crash = process.env['CRASH'];
const die = (point: string) => {
  if (crash === point) process.kill(process.pid, 'SIGKILL');
};

const nothing = () => undefined;
const logger: Logger = {
  logQuery: (sql) => sql === 'COMMIT' && die('before the commit'),
  logQueryError: nothing,
  logQuerySlow: nothing,
  logSchemaBuild: nothing,
  logMigration: nothing,
  log: nothing,
};
const options = JSON.parse(process.env['DATABASE'] ?? '') as DataSourceOptions;
const dataSource = await new DataSource({ ...options, logger }).initialize();

@Module({
  imports: [
    OutboxModule.forRoot({
      dataSource,
      relay: crash === 'before the commit' ? false : { lease: '600ms', publishTimeout: '500ms' },
      publish: ({ id }) => {
        process.stdout.write(`published ${id}\n`);
        die('before the mark');
      },
    }),
  ],
})
class App {}

// Before anything that may kill it.
process.stdout.write('listening on\n');
const app = await NestFactory.createApplicationContext(App, { logger: false });
await dataSource.transaction((manager) =>
  app.get(Outbox).add({ id: 'm2', aggregate: 'a', pattern: 'p', payload: 2 }, { manager }),
);
