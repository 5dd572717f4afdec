import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { StorageCheck } from '../idempotency/storage-check.js';
import { HealthController } from './health.controller.js';

@Module({})
export class HealthModule {
  /** @param payments the module that has the gateway */
  static register(payments: DynamicModule): DynamicModule {
    return {
      module: HealthModule,
      imports: [payments],
      controllers: [HealthController],
      providers: [StorageCheck],
    };
  }
}
