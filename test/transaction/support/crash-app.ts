import 'reflect-metadata';
import { Controller, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Idempotent, IdempotencyModule, IdempotentOp, type IdempotentOperation } from 'nestjs-idempotent';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { DataSource, type DataSourceOptions, type Logger } from 'typeorm';

/** A process that kills itself at `CRASH`, or whose handler waits for SIGUSR2; `DATABASE` holds the options of its database. */
const crash = process.env['CRASH'];
const die = (point: string) => {
  if (crash === point) process.kill(process.pid, 'SIGKILL');
};
// The lease of whoever has died is over soon.
const LEASE = { lease: '1s', storageTimeout: '500ms' };

const nothing = () => undefined;
const logger: Logger = {
  logQuery: (sql) => sql === 'COMMIT' && die('before the commit'),
  logQueryError: nothing,
  logQuerySlow: nothing,
  logSchemaBuild: nothing,
  logMigration: nothing,
  log: nothing,
};
const dataSource = new DataSource({
  ...(JSON.parse(process.env['DATABASE'] ?? '') as DataSourceOptions),
  logger,
});

@Controller()
class Payments {
  @Post('pay')
  @Idempotent({ transactional: true, ...LEASE })
  async pay(@IdempotentOp() op: IdempotentOperation) {
    const resumed = once(process, 'SIGUSR2');
    await dataSource.query(`insert into effects (what, attempt) values ('debit', ${op.attempt})`);
    die('in the handler');
    if (crash === undefined) {
      process.stdout.write('in the handler\n');
      await resumed;
    }
    await dataSource.query(`insert into effects (what, attempt) values ('credit', ${op.attempt})`);
    return { attempt: op.attempt };
  }
}

@Module({
  imports: [
    IdempotencyModule.forRoot({
      namespace: 'shop',
      storage: typeOrmStorage({ dataSource, purgeEvery: false }),
    }),
  ],
  controllers: [Payments],
})
class App {}

await dataSource.initialize();
// Told when it is committed, and nobody has the answer yet.
subscribe('nestjs-idempotent:completed', () => die('after the commit'));
const app = await NestFactory.create(App, { logger: false });
app.enableShutdownHooks();
await app.listen(Number(process.env['PORT']), '127.0.0.1');
process.stdout.write('listening on\n');
