/**
 * A worker in a process of its own that comes to two points and stays there, until it is killed: in the work of one job, after a
 * step; and after the work of another one, before BullMQ hears that it is done.
 */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { IdempotencyModule, IdempotencyService } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { invoiceWorker } from '../recipes/invoice-worker.js';
import { RedisBilling } from './invoices.js';
import { BULL, NAMESPACE } from './stalling.js';

const { REDIS_URL = '' } = process.env;
const stays = () => new Promise<never>(() => {});
const redis = new Redis(REDIS_URL);
const billing = new RedisBilling(redis);
const imports = [
  IdempotencyModule.forRoot({
    namespace: NAMESPACE,
    storage: redisStorage({ url: REDIS_URL }),
    lease: '2s',
  }),
];
const app = await NestFactory.createApplicationContext({ module: class {}, imports }, { logger: false });
const service = app.get(IdempotencyService);

billing.beforeSending = async () => {
  if ((await redis.incr('sending')) > 1) return; // the second job's
  await redis.rpush('reached', 'in the work');
  await stays();
};
const worker = invoiceWorker(service, billing, {
  ...BULL,
  connection: { url: REDIS_URL },
  concurrency: 2,
  autorun: false,
});
// What `run()` gave has been recorded; BullMQ gets it never.
const { run } = service;
service.run = async (options, work) => {
  const done = await run.call(service, options, work);
  await redis.rpush('reached', 'after the work');
  return stays().then(() => done as never);
};
void worker.run();
console.log('listening on the queue');
