import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** That an order is paid, and by which charge. One per order: the database refuses a second one. */
@Entity('payments')
export class Payment {
  @PrimaryColumn('uuid', { name: 'order_id' })
  orderId!: string;

  /** The payment service's id of the charge. */
  @Column('varchar', { name: 'charge_id', length: 64 })
  chargeId!: string;

  /** Minor units, as in the order. */
  @Column('bigint', { transformer: { from: Number, to: (amount: number) => amount } })
  amount!: number;

  @CreateDateColumn({ name: 'created_at' })
  createdAt!: Date;
}
