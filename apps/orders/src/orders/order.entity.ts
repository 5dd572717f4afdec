import {
  Column,
  CreateDateColumn,
  Entity,
  Index,
  PrimaryColumn,
  UpdateDateColumn,
  VersionColumn,
} from 'typeorm';

export interface OrderItem {
  readonly sku: string;
  readonly quantity: number;
  /** In minor units: cents, öre, yen. */
  readonly unitPrice: number;
}

export type OrderStatus = 'pending' | 'paid' | 'cancelled';

@Entity('orders')
@Index('orders_by_user', ['userId', 'createdAt', 'id'])
@Index('orders_idempotency_key', ['userId', 'idempotencyKey'], { unique: true })
export class Order {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('varchar', { name: 'user_id', length: 128 })
  userId!: string;

  @Column('varchar', { length: 16 })
  status!: OrderStatus;

  /** On PostgreSQL the column is `jsonb`. */
  @Column('json')
  items!: OrderItem[];

  /** A bigint comes as text from PostgreSQL; `LIMITS` keeps every total within what a JavaScript number holds exactly. */
  @Column('bigint', { transformer: { from: Number, to: (total: number) => total } })
  total!: number;

  @Column('text', { nullable: true })
  note!: string | null;

  /** Rises by one with every change. Who changes an order says which version was seen. */
  @VersionColumn()
  version!: number;

  /** The second line of defence: one order per user and key, also on the day the idempotency records are lost. */
  @Column('varchar', { name: 'idempotency_key', length: 255, nullable: true })
  idempotencyKey!: string | null;

  @CreateDateColumn({ name: 'created_at' })
  createdAt!: Date;

  @UpdateDateColumn({ name: 'updated_at' })
  updatedAt!: Date;
}
