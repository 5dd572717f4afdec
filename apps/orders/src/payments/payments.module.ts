import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { OrdersModule } from '../orders/orders.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { RunsModule } from '../runs/runs.module.js';
import { PAYMENTS_ADDRESS } from './gateway/payments-address.js';
import type { PaymentsAddress } from './gateway/payments-address.js';
import { PaymentGateway } from './gateway/payment-gateway.js';
import { Payment } from './payment.entity.js';
import { PaymentsController } from './payments.controller.js';
import { PaymentsRepository } from './payments.repository.js';
import { PaymentsService } from './payments.service.js';

@Module({})
export class PaymentsModule {
  static register(address: PaymentsAddress): DynamicModule {
    return {
      module: PaymentsModule,
      imports: [TypeOrmModule.forFeature([Payment]), OrdersModule, OperationsModule, RunsModule],
      controllers: [PaymentsController],
      providers: [
        { provide: PAYMENTS_ADDRESS, useValue: address },
        PaymentGateway,
        PaymentsRepository,
        PaymentsService,
      ],
      exports: [PaymentGateway],
    };
  }
}
