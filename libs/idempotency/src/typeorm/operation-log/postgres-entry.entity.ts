import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';
import { asJson, type LoggedOperation } from './entry.js';

/** The operation log on PostgreSQL. Register it with your DataSource, and create its table by `CreateOperationLog…`. */
@Entity({ name: 'operation_log' })
@Index('operation_log_command', ['scope', 'commandId'], { unique: true })
export class OperationLogEntry implements LoggedOperation {
  @PrimaryGeneratedColumn('identity', {
    name: 'sequence',
    type: 'bigint',
    generatedIdentity: 'ALWAYS',
    primaryKeyConstraintName: 'operation_log_pkey',
  })
  sequence!: string;

  @Column({ name: 'scope', type: 'text', collation: 'C' })
  scope!: string;

  @Column({ name: 'command_id', type: 'text', collation: 'C' })
  commandId!: string;

  @Column({ name: 'command', type: 'text' })
  command!: string;

  @Column({ name: 'content', type: 'text', transformer: asJson })
  content!: unknown;

  @Column({ name: 'fingerprint', type: 'text', collation: 'C' })
  fingerprint!: string;

  @Column({ name: 'appended_at', type: 'timestamptz', default: () => 'clock_timestamp()' })
  appendedAt!: Date;
}
