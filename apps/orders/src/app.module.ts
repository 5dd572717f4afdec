import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import type { AppConfig } from './config/app-config.js';
import { ConfigModule } from './config/config.module.js';
import { CheckoutModule } from './checkout/checkout.module.js';
import { DatabaseModule } from './database/database.module.js';
import { EffectsModule } from './effects/effects.module.js';
import { HealthModule } from './health/health.module.js';
import { idempotencyModule } from './idempotency/idempotency.js';
import { MailModule } from './mail/mail.module.js';
import { MessagesModule } from './messages/messages.module.js';
import { outboxModule } from './messages/outbox.js';
import type { MessageTransport } from './messages/transport.js';
import { OrdersModule } from './orders/orders.module.js';
import type { PaymentsAddress } from './payments/gateway/payments-address.js';
import { PaymentsModule } from './payments/payments.module.js';
import { StockModule } from './stock/stock.module.js';
import { UsersModule } from './users/users.module.js';

@Module({})
export class AppModule {
  static register(
    config: AppConfig,
    dataSource: DataSource,
    address: PaymentsAddress,
    transport: MessageTransport,
  ): DynamicModule {
    const payments = PaymentsModule.register(address);
    return {
      module: AppModule,
      imports: [
        ConfigModule.register(config),
        DatabaseModule.register(dataSource),
        idempotencyModule(),
        MessagesModule.register(transport),
        outboxModule(),
        UsersModule,
        OrdersModule,
        StockModule,
        MailModule,
        payments,
        EffectsModule.register(payments),
        CheckoutModule,
        HealthModule.register(payments),
      ],
    };
  }
}
