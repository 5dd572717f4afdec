import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { CrashPoints } from '../crash/crash-points.js';
import type { OrderItem } from '../orders/order.entity.js';
import { StockMove } from './stock-move.entity.js';

@Injectable()
@CrashPoints()
export class StockRepository {
  constructor(@InjectRepository(StockMove) private readonly moves: Repository<StockMove>) {}

  /** One move per article. Those that are there already stay as they are, so this may be said twice. */
  async takeFor(orderId: string, items: readonly OrderItem[]): Promise<void> {
    const moves = [...piecesBySku(items)].map(([sku, pieces]) => ({ orderId, sku, quantity: -pieces }));
    await this.moves.createQueryBuilder().insert().values(moves).orIgnore().execute();
  }

  async countFor(orderId: string): Promise<number> {
    return this.moves.countBy({ orderId });
  }
}

/** An order may name an article in several lines. */
function piecesBySku(items: readonly OrderItem[]): Map<string, number> {
  const pieces = new Map<string, number>();
  for (const { sku, quantity } of items) pieces.set(sku, (pieces.get(sku) ?? 0) + quantity);
  return pieces;
}
