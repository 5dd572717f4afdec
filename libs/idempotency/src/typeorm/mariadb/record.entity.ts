import { Column, Entity, Index, PrimaryColumn, type ValueTransformer } from 'typeorm';
import { MAX_ID_BYTES } from './create-table.js';

const text: ValueTransformer = {
  to: (value: string | undefined) => (value === undefined ? undefined : Buffer.from(value)),
  from: (stored: Buffer) => stored.toString(),
};
const time: ValueTransformer = {
  to: (value: Date | undefined) => value?.getTime(),
  from: (stored: string | number) => new Date(Number(stored)),
};

/**
 * The table of the records on MariaDB and MySQL, for `synchronize` and for reading:
 * `dataSource.getRepository(MariaDbIdempotencyRecord)`. TypeORM gives it no check constraint there; the migration does.
 *
 * Nobody but the storage writes to it. How the columns are to be read is written down in docs/storages.md.
 */
@Entity({ name: 'idempotency_records', engine: 'InnoDB ROW_FORMAT=DYNAMIC' })
@Index('idempotency_records_expires_at', ['expiresAt'])
export class MariaDbIdempotencyRecord {
  /** Namespace, operation, and a hash of scope and key. */
  @PrimaryColumn({ name: 'id', type: 'varbinary', length: MAX_ID_BYTES, transformer: text })
  id!: string;

  /** 0 in progress, 1 completed. */
  @Column({ name: 'state', type: 'tinyint' })
  state!: number;

  @Column({ name: 'attempt', type: 'int' })
  attempt!: number;

  /** What the present claim found: 0 nothing, 1 a released record, 2 an expired lease. */
  @Column({ name: 'previous', type: 'tinyint' })
  previous!: number;

  /** Null when the claim was given up. */
  @Column({
    name: 'owner',
    type: 'char',
    length: 36,
    charset: 'ascii',
    collation: 'ascii_bin',
    nullable: true,
  })
  owner!: string | null;

  /** Whom the present claim took over from, when that was an expired lease. */
  @Column({
    name: 'owner_found',
    type: 'char',
    length: 36,
    charset: 'ascii',
    collation: 'ascii_bin',
    nullable: true,
  })
  ownerFound!: string | null;

  @Column({ name: 'fingerprint', type: 'varbinary', length: 255, transformer: text })
  fingerprint!: string;

  @Column({ name: 'created_at', type: 'bigint', transformer: time })
  createdAt!: Date;

  @Column({ name: 'lease_until', type: 'bigint', transformer: time })
  leaseUntil!: Date;

  @Column({ name: 'expires_at', type: 'bigint', transformer: time })
  expiresAt!: Date;

  /** How many bytes of `steps` the present claim found. */
  @Column({ name: 'steps_found', type: 'int', nullable: true })
  stepsFound!: number | null;

  @Column({ name: 'steps', type: 'longblob', nullable: true })
  steps!: Buffer | null;

  @Column({ name: 'result', type: 'longblob', nullable: true })
  result!: Buffer | null;
}
