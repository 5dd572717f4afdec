/**
 * One process of an app whose every effect can be counted from outside: `POST /effects` writes a line into a file that
 * several processes share, and answers which run of the handler it was. Everything comes from the environment; it prints
 * one line when it listens.
 */
import { Body, Controller, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Idempotent,
  IdempotencyModule,
  IdempotentOp,
  type IdempotencyModuleOptions,
  type IdempotentOperation,
} from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { connectClient, type ClientSpec } from './clients.js';

const { PORT, PLATFORM, EFFECTS = '', CLIENT = '{}', STORAGE = '{}', OPTIONS = '{}' } = process.env;

@Controller('effects')
class EffectsController {
  @Post()
  @Idempotent('1h')
  async create(
    @Body() { takesMs }: { takesMs: number },
    @IdempotentOp() op: IdempotentOperation,
  ): Promise<object> {
    const run = randomUUID();
    // One write of one line: lines of several processes do not mix.
    appendFileSync(EFFECTS, `${op.key} ${run}\n`);
    await sleep(takesMs);
    return { run, attempt: op.attempt };
  }
}

const { client, close } = await connectClient(JSON.parse(CLIENT) as ClientSpec);
const storage = redisStorage({ client, ...(JSON.parse(STORAGE) as object) });
const options: IdempotencyModuleOptions = {
  namespace: 'effects',
  storage,
  ...(JSON.parse(OPTIONS) as object),
};

@Module({ imports: [IdempotencyModule.forRoot(options)], controllers: [EffectsController] })
class EffectsModule {}

const adapter = PLATFORM === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(EffectsModule, adapter, {
  logger: ['warn', 'error'],
  abortOnError: false,
});
await app.listen(Number(PORT), '127.0.0.1');
console.log(`listening on ${PORT}`);

// Who started it may be killed, and then tells nobody.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, 500).unref();

process.once(
  'SIGTERM',
  () =>
    void app
      .close()
      .then(close)
      .then(() => process.exit(0)),
);
