import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** That a handler has begun to run; nothing takes it back, whatever became of the run. */
@Entity('handler_runs')
export class HandlerRun {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('varchar', { length: 32 })
  operation!: 'place' | 'pay';

  @Column('varchar', { name: 'user_id', length: 128 })
  userId!: string;

  /** Of a run that places an order: which one it will be is not known before. */
  @Column('varchar', { name: 'idempotency_key', length: 255, nullable: true })
  idempotencyKey!: string | null;

  /** Of a run on an order that exists. */
  @Column('uuid', { name: 'order_id', nullable: true })
  orderId!: string | null;

  @CreateDateColumn({ name: 'created_at' })
  createdAt!: Date;
}
