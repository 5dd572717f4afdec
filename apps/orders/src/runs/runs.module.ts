import { Global, Module } from '@nestjs/common';
import { RunLog } from './run-log.js';

@Global()
@Module({ providers: [RunLog], exports: [RunLog] })
export class RunsModule {}
