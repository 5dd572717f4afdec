import { Module } from '@nestjs/common';
import { OperationLog } from './operation-log.js';

@Module({ providers: [OperationLog], exports: [OperationLog] })
export class OperationsModule {}
