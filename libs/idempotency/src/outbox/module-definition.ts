import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { OutboxOptions } from './options.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<OutboxOptions>(
  { moduleName: 'Outbox' },
)
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createOutboxOptions')
  .build();
