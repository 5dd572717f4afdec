import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * The table of the records on PostgreSQL, for `synchronize` and for reading: `dataSource.getRepository(IdempotencyRecord)`.
 *
 * Nobody but the storage writes to it. How the columns are to be read is written down in docs/storages.md.
 */
@Entity({ name: 'idempotency_records' })
@Index('idempotency_records_expires_at', ['expiresAt'])
@Check(
  'idempotency_records_state',
  `attempt > 0 and (state = 0 and result is null or state = 1 and result is not null and owner is not null)`,
)
export class IdempotencyRecord {
  /** Namespace, operation, and a hash of scope and key. NUL is written `\0`, a backslash `\\`. */
  @PrimaryColumn({
    name: 'id',
    type: 'text',
    collation: 'C',
    primaryKeyConstraintName: 'idempotency_records_pkey',
  })
  id!: string;

  /** 0 in progress, 1 completed. */
  @Column({ name: 'state', type: 'smallint' })
  state!: number;

  @Column({ name: 'attempt', type: 'integer' })
  attempt!: number;

  /** What the present claim found: 0 nothing, 1 a released record, 2 an expired lease. */
  @Column({ name: 'previous', type: 'smallint' })
  previous!: number;

  /** Null when the claim was given up. */
  @Column({ name: 'owner', type: 'uuid', nullable: true })
  owner!: string | null;

  /** Whom the present claim took over from, when that was an expired lease. */
  @Column({ name: 'owner_found', type: 'uuid', nullable: true })
  ownerFound!: string | null;

  @Column({ name: 'fingerprint', type: 'text', collation: 'C' })
  fingerprint!: string;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt!: Date;

  @Column({ name: 'lease_until', type: 'timestamptz' })
  leaseUntil!: Date;

  @Column({ name: 'expires_at', type: 'timestamptz' })
  expiresAt!: Date;

  /** How many bytes of `steps` the present claim found. */
  @Column({ name: 'steps_found', type: 'integer', nullable: true })
  stepsFound!: number | null;

  @Column({ name: 'steps', type: 'bytea', nullable: true })
  steps!: Buffer | null;

  @Column({ name: 'result', type: 'bytea', nullable: true })
  result!: Buffer | null;
}
