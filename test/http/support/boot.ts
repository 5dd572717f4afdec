import { afterEach, expect } from '@jest/globals';
import {
  applyDecorators,
  Controller,
  Post,
  type INestApplication,
  type ModuleMetadata,
  type Type,
} from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  Idempotent,
  IdempotencyModule,
  InvalidOptionsError,
  type IdempotencyModuleOptions,
  type IdempotentOptions,
} from 'nestjs-idempotent';

const started: INestApplication[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((app) => app.close()));
});

/** Boots an app as far as it goes, and answers what it warned of. Rejects with the mistake. */
export async function boot(module: ModuleMetadata, adapter?: AbstractHttpAdapter): Promise<string[]> {
  const warnings: string[] = [];
  const quiet = () => {};
  const logger = { log: quiet, warn: (line: string) => void warnings.push(line), error: quiet, debug: quiet };
  const testing = await Test.createTestingModule(module).setLogger(logger).compile();
  const app: INestApplication = adapter
    ? testing.createNestApplication(adapter, { logger })
    : testing.createNestApplication({ logger });
  started.push(app);
  await app.init();
  return warnings;
}

/** The sentence with which an app refuses to boot. */
export async function mistakeOf(
  module: () => ModuleMetadata,
  adapter?: AbstractHttpAdapter,
): Promise<string> {
  let error: unknown;
  try {
    await boot(module(), adapter);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(InvalidOptionsError);
  expect(error).toMatchObject({ code: 'invalid-options', name: 'InvalidOptionsError' });
  return (error as Error).message;
}

/** Options that may be any mistake. */
export const withModule = (options: object | undefined): ModuleMetadata => ({
  imports: [IdempotencyModule.forRoot(options)],
});

export const withControllers = (...controllers: Type[]): ModuleMetadata => ({
  imports: [IdempotencyModule.forRoot({})],
  controllers,
});

/** An app with `OrdersController.create` on `POST /orders`, decorated with these options. */
export function withRoute(options: unknown, module: IdempotencyModuleOptions = {}): ModuleMetadata {
  @Controller('orders')
  class OrdersController {
    @Post()
    @Idempotent(options as IdempotentOptions)
    create() {
      return 'created';
    }
  }
  return { ...withModule(module), controllers: [OrdersController] };
}

/** An app with `OrdersController.handle`, which carries these decorators, the topmost first. */
export function withMethod(...decorators: MethodDecorator[]): ModuleMetadata {
  @Controller('orders')
  class OrdersController {
    @applyDecorators(...decorators)
    handle() {
      return undefined;
    }
  }
  return withControllers(OrdersController);
}
