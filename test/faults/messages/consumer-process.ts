/** One process of consumers, from the environment. It writes a line per delivery, answer and run. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { IdempotencyModule } from 'nestjs-idempotent';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { PREFETCH } from './consumer-settings.js';
import { MailConsumerWithoutKeys, StockConsumerWithoutKeys } from './consumers-without-keys.js';
import { MailConsumer, StockConsumer } from './consumers.js';
import { Effects } from './effects.js';
import { say } from './held-points.js';
import { queueOptions, queuesNamed } from './queues.js';
import { watchChannels } from './watched-channels.js';

const { DATABASE_URL = '', AMQP_URL = '', QUEUE = '', LEASE = '', STORAGE_TIMEOUT = '', KEYS } = process.env;

const dataSource = await new DataSource({ type: 'postgres', url: DATABASE_URL, poolSize: 10 }).initialize();
const idempotency = IdempotencyModule.forRoot({
  namespace: 'shop',
  storage: typeOrmStorage({ purgeEvery: false }),
  scope: () => 'shop',
  lease: LEASE,
  storageTimeout: STORAGE_TIMEOUT,
});
const root = {
  module: class {},
  imports: KEYS === 'without' ? [] : [idempotency],
  providers: [Effects, { provide: DataSource, useValue: dataSource }],
  controllers:
    KEYS === 'without' ? [StockConsumerWithoutKeys, MailConsumerWithoutKeys] : [StockConsumer, MailConsumer],
};

watchChannels();
const queues = queuesNamed(QUEUE);
const app = await NestFactory.createMicroservice<MicroserviceOptions>(root, {
  transport: Transport.RMQ,
  options: {
    urls: [AMQP_URL],
    queue: queues.queue,
    queueOptions: queueOptions(queues),
    noAck: false,
    prefetchCount: PREFETCH,
  },
  logger: ['warn', 'error'],
  abortOnError: false,
});
await app.listen();
say('ready');

process.once('SIGTERM', () => {
  void app
    .close()
    .then(() => dataSource.destroy())
    .then(() => process.exit(0));
});
