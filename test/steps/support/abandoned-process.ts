/** A process with the routes of `Abandoned` over a Redis, which a test kills. */
import { NestFactory } from '@nestjs/core';
import { IdempotencyModule } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { Abandoned, MODULE } from './abandoned.controller.js';

const { REDIS_URL = '', PORT } = process.env;

const root = {
  module: class {},
  imports: [IdempotencyModule.forRoot({ ...MODULE, storage: redisStorage({ url: REDIS_URL }) })],
  controllers: [Abandoned],
};
const app = await NestFactory.create(root, { logger: ['error'], abortOnError: false });
await app.listen(Number(PORT), '127.0.0.1');
console.log(`listening on ${PORT}`);
