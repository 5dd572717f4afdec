import { Column, Entity, Index, PrimaryGeneratedColumn, type ValueTransformer } from 'typeorm';
import { MARIADB_INDEXES, MAX_NAME_BYTES } from './tables.js';

const text: ValueTransformer = {
  to: (value: string | null | undefined) =>
    value === null || value === undefined ? value : Buffer.from(value),
  from: (stored: Buffer | null) => stored?.toString() ?? null,
};
const time: ValueTransformer = {
  to: (value: Date | null | undefined) => value?.getTime() ?? value,
  from: (stored: string | number | null) => (stored === null ? null : new Date(Number(stored))),
};
const NAME = { type: 'varbinary', length: MAX_NAME_BYTES, transformer: text } as const;
const TEXT = { type: 'longtext', charset: 'utf8mb4', collation: 'utf8mb4_bin' } as const;
const TIME = { type: 'bigint', transformer: time } as const;

/**
 * The outbox on MariaDB and MySQL, for `synchronize` and for reading: `dataSource.getRepository(MariaDbOutboxEntry)`. Register
 * it with your DataSource, or create its table by `CreateOutbox…`. Nobody but the outbox writes to it.
 */
@Entity({ name: 'outbox_messages', engine: 'InnoDB ROW_FORMAT=DYNAMIC' })
@Index('outbox_messages_id', ['id'], { unique: true })
@Index(MARIADB_INDEXES.due, ['deliveredAt', 'diedAt', 'dueAt', 'sequence', 'aggregate'])
@Index(MARIADB_INDEXES.heads, ['aggregate', 'deliveredAt', 'sequence', 'diedAt'])
@Index(MARIADB_INDEXES.owner, ['owner'])
@Index(MARIADB_INDEXES.delivered, ['deliveredAt', 'sequence'])
export class MariaDbOutboxEntry {
  /** The order of delivery within an aggregate. A number in text: it may not fit a JavaScript number. */
  @PrimaryGeneratedColumn('increment', { name: 'sequence', type: 'bigint' })
  sequence!: string;

  @Column({ ...NAME, name: 'id' })
  id!: string;

  /** What it is about; null: it waits for no other message. */
  @Column({ ...NAME, name: 'aggregate', nullable: true })
  aggregate!: string | null;

  @Column({ ...NAME, name: 'pattern' })
  pattern!: string;

  /** JSON. */
  @Column({ ...TEXT, name: 'payload' })
  payload!: string;

  /** JSON. */
  @Column({ ...TEXT, name: 'headers' })
  headers!: string;

  @Column({ ...NAME, name: 'correlation_id' })
  correlationId!: string;

  /** How often a relay has taken it to publish it. */
  @Column({ name: 'attempts', type: 'int', default: 0 })
  attempts!: number;

  /** Which claim of a relay has it, until `dueAt`. */
  @Column({
    name: 'owner',
    type: 'char',
    length: 36,
    charset: 'ascii',
    collation: 'ascii_bin',
    nullable: true,
  })
  owner!: string | null;

  /** Why it could not be published the last time. */
  @Column({ ...TEXT, name: 'error', nullable: true })
  error!: string | null;

  @Column({ ...TIME, name: 'added_at' })
  addedAt!: Date;

  /** No relay takes it before: the time of its next try, or the end of the lease on it. */
  @Column({ ...TIME, name: 'due_at' })
  dueAt!: Date;

  /** It is a dead letter, unless `deliveredAt` says that somebody has discarded it since. */
  @Column({ ...TIME, name: 'died_at', nullable: true })
  diedAt!: Date | null;

  /** When it was published, or discarded. */
  @Column({ ...TIME, name: 'delivered_at', nullable: true })
  deliveredAt!: Date | null;
}
