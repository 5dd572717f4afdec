import { Module } from '@nestjs/common';
import { RunLog } from './run-log.js';

@Module({ providers: [RunLog], exports: [RunLog] })
export class RunsModule {}
