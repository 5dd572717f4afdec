import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * The table of the records on SQLite, for `synchronize` and for reading. Times are milliseconds since 1970.
 *
 * Nobody but the storage writes to it. How the columns are to be read is written down in docs/storages.md.
 */
@Entity({ name: 'idempotency_records' })
@Index('idempotency_records_expires_at', ['expiresAt'])
@Check(
  'idempotency_records_state',
  `attempt > 0 and (state = 0 and result is null or state = 1 and result is not null and owner is not null)`,
)
export class SqliteIdempotencyRecord {
  /** Namespace, operation, and a hash of scope and key. */
  @PrimaryColumn({ name: 'id', type: 'text' })
  id!: string;

  /** 0 in progress, 1 completed. */
  @Column({ name: 'state', type: 'integer' })
  state!: number;

  @Column({ name: 'attempt', type: 'integer' })
  attempt!: number;

  /** What the present claim found: 0 nothing, 1 a released record, 2 an expired lease. */
  @Column({ name: 'previous', type: 'integer' })
  previous!: number;

  /** Null when the claim was given up. */
  @Column({ name: 'owner', type: 'text', nullable: true })
  owner!: string | null;

  /** Whom the present claim took over from, when that was an expired lease. */
  @Column({ name: 'owner_found', type: 'text', nullable: true })
  ownerFound!: string | null;

  @Column({ name: 'fingerprint', type: 'text' })
  fingerprint!: string;

  @Column({ name: 'created_at', type: 'integer' })
  createdAt!: number;

  @Column({ name: 'lease_until', type: 'integer' })
  leaseUntil!: number;

  @Column({ name: 'expires_at', type: 'integer' })
  expiresAt!: number;

  /** How many bytes of `steps` the present claim found. */
  @Column({ name: 'steps_found', type: 'integer', nullable: true })
  stepsFound!: number | null;

  @Column({ name: 'steps', type: 'blob', nullable: true })
  steps!: Buffer | null;

  @Column({ name: 'result', type: 'blob', nullable: true })
  result!: Buffer | null;
}
