import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** Goods that left the shelf. Rows are only ever added; the stock is their sum. */
@Entity('stock_moves')
export class StockMove {
  @PrimaryColumn('uuid', { name: 'order_id' })
  orderId!: string;

  @PrimaryColumn('varchar', { length: 64 })
  sku!: string;

  /** Negative: pieces that go out. */
  @Column('integer')
  quantity!: number;

  @CreateDateColumn({ name: 'created_at' })
  createdAt!: Date;
}
