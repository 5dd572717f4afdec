import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { IdempotencyModuleOptions } from './options.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<IdempotencyModuleOptions>({
    moduleName: 'Idempotency',
  })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createIdempotencyOptions')
    .build();
