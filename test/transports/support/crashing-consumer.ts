import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern, Payload, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import {
  Idempotent,
  IdempotencyModule,
  IdempotentOp,
  IdempotentOperation,
  messageKey,
} from 'nestjs-idempotent';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { subscribe } from 'node:diagnostics_channel';
import { DataSource, type DataSourceOptions } from 'typeorm';

/** A consumer of the queue `QUEUE` that kills itself at `CRASH`; `DATABASE` holds the options of its database. */
const crash = process.env['CRASH'];
const die = (point: string) => {
  if (crash === point) process.kill(process.pid, 'SIGKILL');
};
const dataSource = new DataSource(JSON.parse(process.env['DATABASE'] ?? '') as DataSourceOptions);

@Controller()
class Stock {
  @Idempotent({ key: messageKey('id'), transactional: true, lease: '1s', storageTimeout: '500ms' })
  @EventPattern<string>('orders.placed')
  async reserve(@Payload() { id }: { id: string }, @IdempotentOp() op: IdempotentOperation): Promise<void> {
    await dataSource.query('insert into effects (what, attempt) values ($1, $2)', [id, op.attempt]);
    die('in the handler');
  }
}

@Module({
  imports: [
    IdempotencyModule.forRoot({
      namespace: 'shop',
      storage: typeOrmStorage({ dataSource, purgeEvery: false }),
    }),
  ],
  controllers: [Stock],
})
class App {}

await dataSource.initialize();
// Told when the record and the writes are committed, and RabbitMQ does not know yet.
subscribe('nestjs-idempotent:completed', () => die('before the acknowledgement'));
const app = await NestFactory.createMicroservice<MicroserviceOptions>(App, {
  transport: Transport.RMQ,
  options: {
    urls: [process.env['AMQP_URL'] ?? ''],
    queue: process.env['QUEUE'] ?? '',
    noAssert: true,
    noAck: false,
  },
  logger: false,
});
app.enableShutdownHooks();
process.stdout.write('listening on\n');
await app.listen();
