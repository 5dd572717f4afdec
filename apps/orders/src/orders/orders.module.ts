import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CheckoutModule } from '../checkout/checkout.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { RunsModule } from '../runs/runs.module.js';
import { Order } from './order.entity.js';
import { OrderPlacement } from './order-placement.js';
import { OrdersController } from './orders.controller.js';
import { OrdersRepository } from './orders.repository.js';
import { OrdersService } from './orders.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([Order]), CheckoutModule, OperationsModule, RunsModule],
  controllers: [OrdersController],
  providers: [OrdersRepository, OrderPlacement, OrdersService],
  exports: [OrdersRepository],
})
export class OrdersModule {}
