import { Module } from '@nestjs/common';
import { StorageCheck } from '../idempotency/storage-check.js';
import { HealthController } from './health.controller.js';

@Module({ controllers: [HealthController], providers: [StorageCheck] })
export class HealthModule {}
