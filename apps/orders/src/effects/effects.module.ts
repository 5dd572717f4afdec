import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { MailModule } from '../mail/mail.module.js';
import { OrdersModule } from '../orders/orders.module.js';
import { RunsModule } from '../runs/runs.module.js';
import { StockModule } from '../stock/stock.module.js';
import { EffectsController } from './effects.controller.js';
import { EffectsService } from './effects.service.js';

@Module({})
export class EffectsModule {
  /** @param payments the module that has the gateway */
  static register(payments: DynamicModule): DynamicModule {
    return {
      module: EffectsModule,
      imports: [OrdersModule, StockModule, MailModule, RunsModule, payments],
      controllers: [EffectsController],
      providers: [EffectsService],
    };
  }
}
