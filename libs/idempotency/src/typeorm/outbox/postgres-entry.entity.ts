import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';

const UNDELIVERED = 'delivered_at is null';

/**
 * The outbox on PostgreSQL, for `synchronize` and for reading: `dataSource.getRepository(OutboxEntry)`. Register it with your
 * DataSource, or create its table by `CreateOutbox…`. Nobody but the outbox writes to it.
 */
@Entity({ name: 'outbox_messages' })
@Index('outbox_messages_id', ['id'], { unique: true })
@Index('outbox_messages_due', ['dueAt', 'sequence'], { where: `${UNDELIVERED} and died_at is null` })
@Index('outbox_messages_heads', ['aggregate', 'sequence'], { where: UNDELIVERED })
@Index('outbox_messages_dead', ['diedAt'], { where: `${UNDELIVERED} and died_at is not null` })
@Index('outbox_messages_owner', ['owner'], { where: 'owner is not null' })
@Index('outbox_messages_delivered', ['deliveredAt'], { where: 'delivered_at is not null' })
export class OutboxEntry {
  /** The order of delivery within an aggregate. A number in text: it may not fit a JavaScript number. */
  @PrimaryGeneratedColumn('identity', {
    name: 'sequence',
    type: 'bigint',
    generatedIdentity: 'ALWAYS',
    primaryKeyConstraintName: 'outbox_messages_pkey',
  })
  sequence!: string;

  @Column({ name: 'id', type: 'text', collation: 'C' })
  id!: string;

  /** What it is about; null: it waits for no other message. */
  @Column({ name: 'aggregate', type: 'text', collation: 'C', nullable: true })
  aggregate!: string | null;

  @Column({ name: 'pattern', type: 'text', collation: 'C' })
  pattern!: string;

  /** JSON. */
  @Column({ name: 'payload', type: 'text' })
  payload!: string;

  /** JSON. */
  @Column({ name: 'headers', type: 'text' })
  headers!: string;

  @Column({ name: 'correlation_id', type: 'text', collation: 'C' })
  correlationId!: string;

  /** How often a relay has taken it to publish it. */
  @Column({ name: 'attempts', type: 'integer', default: 0 })
  attempts!: number;

  /** Which claim of a relay has it, until `dueAt`. */
  @Column({ name: 'owner', type: 'uuid', nullable: true })
  owner!: string | null;

  /** Why it could not be published the last time. */
  @Column({ name: 'error', type: 'text', nullable: true })
  error!: string | null;

  @Column({ name: 'added_at', type: 'timestamptz', default: () => 'clock_timestamp()' })
  addedAt!: Date;

  /** No relay takes it before: the time of its next try, or the end of the lease on it. */
  @Column({ name: 'due_at', type: 'timestamptz', default: () => 'clock_timestamp()' })
  dueAt!: Date;

  /** It is a dead letter, unless `deliveredAt` says that somebody has discarded it since. */
  @Column({ name: 'died_at', type: 'timestamptz', nullable: true })
  diedAt!: Date | null;

  /** When it was published, or discarded. */
  @Column({ name: 'delivered_at', type: 'timestamptz', nullable: true })
  deliveredAt!: Date | null;
}
