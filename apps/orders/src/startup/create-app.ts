import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { DataSource } from 'typeorm';
import { AppModule } from '../app.module.js';
import type { AppConfig } from '../config/app-config.js';
import { transportFor } from '../messages/open-transport.js';
import { ProblemFilter } from '../../../shared/src/problems/problem.filter.js';
import type { PaymentsAddress } from '../payments/gateway/payments-address.js';
import { validationPipe } from '../problems/validation.js';

/** Express' own default, so that both platforms refuse the same bodies. The largest order is about a fifth of it. */
const BODY_LIMIT = 102_400;

/**
 * The app as `main` and the tests use it, without its docs; it does not listen yet. Besides requests it takes messages, which
 * `startMessages` lets in.
 */
export async function createApp(
  config: AppConfig,
  dataSource: DataSource,
  payments: PaymentsAddress,
): Promise<INestApplication> {
  const adapter =
    config.platform === 'fastify' ? new FastifyAdapter({ bodyLimit: BODY_LIMIT }) : expressAdapter();
  const transport = transportFor(config);
  const module = AppModule.register(config, dataSource, payments, transport);
  const app = await NestFactory.create(module, adapter, {
    logger: ['warn', 'error', 'fatal'], // what a start does is told by the progress lines
    abortOnError: false,
  });
  app.useGlobalPipes(validationPipe());
  app.useGlobalFilters(new ProblemFilter(app.getHttpAdapter()));
  // Its consumers get none of these, nor the guard: they check what they get by a pipe of their own.
  app.connectMicroservice({ strategy: transport.server });
  return app;
}

/** Express would put a tag of its own on every body, errors too; here an ETag is the version of an order. */
function expressAdapter(): ExpressAdapter {
  const adapter = new ExpressAdapter();
  adapter.disable('etag');
  adapter.disable('x-powered-by');
  return adapter;
}
