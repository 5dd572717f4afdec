import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { StockMove } from './stock-move.entity.js';
import { StockConsumer } from './stock.consumer.js';
import { StockRepository } from './stock.repository.js';

@Module({
  imports: [TypeOrmModule.forFeature([StockMove])],
  controllers: [StockConsumer],
  providers: [StockRepository],
  exports: [StockRepository],
})
export class StockModule {}
