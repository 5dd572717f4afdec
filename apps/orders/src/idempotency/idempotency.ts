import type { DynamicModule } from '@nestjs/common';
import { IdempotencyModule, memoryStorage } from 'nestjs-idempotent';
import type { IdempotencyStorage } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import type { AppConfig } from '../config/app-config.js';
import { APP_CONFIG } from '../config/config.module.js';
import { storageWithCrashPoints } from '../crash/storage-points.js';

/** All that the app tells the library; the rest is `@Idempotent()` on the routes. */
export function idempotencyModule(): DynamicModule {
  return IdempotencyModule.forRootAsync({
    inject: [APP_CONFIG],
    useFactory: (config: AppConfig) => ({
      namespace: 'orders',
      storage: storageWithCrashPoints(storageFor(config)),
      transactional: config.transactional, // routes that cannot be say so
      ...(config.lease !== undefined && { lease: config.lease }),
    }),
  });
}

function storageFor({ storage, redisUrl }: AppConfig): IdempotencyStorage {
  switch (storage) {
    case 'memory':
      return memoryStorage();
    case 'redis':
      return redisStorage({ url: redisUrl });
    case 'typeorm':
      return typeOrmStorage();
  }
}
