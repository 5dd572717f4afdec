/**
 * One process of the orders app for the fault tests: the real modules of apps/orders, with the module-wide options that
 * a test asks for. Everything comes from the environment; it prints one line when it listens.
 */
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ExpressAdapter } from '@nestjs/platform-express';
import { IdempotencyModule, type IdempotencyModuleOptions } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { OutboxModule, typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { DatabaseModule } from '../../apps/orders/src/database/database.module.js';
import { openDatabase } from '../../apps/orders/src/database/open-database.js';
import { OrdersModule } from '../../apps/orders/src/orders/orders.module.js';
import { validationPipe } from '../../apps/orders/src/problems/validation.js';
import { UsersModule } from '../../apps/orders/src/users/users.module.js';

const { DATABASE_URL = '', REDIS_URL, PORT, PLATFORM, OPTIONS = '{}' } = process.env;

const { dataSource } = await openDatabase(DATABASE_URL);

class FaultTestModule {}
const storage = REDIS_URL === undefined ? typeOrmStorage() : redisStorage({ url: REDIS_URL });
const options = {
  namespace: 'orders',
  storage,
  ...(JSON.parse(OPTIONS) as Partial<IdempotencyModuleOptions>),
};
const root = {
  module: FaultTestModule,
  imports: [
    IdempotencyModule.forRoot(options),
    DatabaseModule.register(dataSource),
    // What is told of an order stays in its table.
    OutboxModule.forRoot({ publish: () => undefined, relay: false }),
    UsersModule,
    OrdersModule,
  ],
};

const adapter = PLATFORM === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(root, adapter, { logger: ['warn', 'error'], abortOnError: false });
app.useGlobalPipes(validationPipe());
await app.listen(Number(PORT), '127.0.0.1');
console.log(`listening on ${PORT}`);

process.once('SIGTERM', () => void app.close().then(() => process.exit(0)));
