import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';
import { asJson, type LoggedOperation } from './entry.js';

const BINARY = { type: 'varchar', length: 255, charset: 'utf8mb4', collation: 'utf8mb4_bin' } as const;

/** The operation log on MariaDB. Register it with your DataSource, and create its table by `CreateOperationLog…`. */
@Entity({ name: 'operation_log' })
@Index('operation_log_command', ['scope', 'commandId'], { unique: true })
export class MariaDbOperationLogEntry implements LoggedOperation {
  @PrimaryGeneratedColumn('increment', { name: 'sequence', type: 'bigint' })
  sequence!: string;

  @Column({ ...BINARY, name: 'scope' })
  scope!: string;

  @Column({ ...BINARY, name: 'command_id' })
  commandId!: string;

  @Column({ ...BINARY, name: 'command' })
  command!: string;

  @Column({
    name: 'content',
    type: 'longtext',
    charset: 'utf8mb4',
    collation: 'utf8mb4_bin',
    transformer: asJson,
  })
  content!: unknown;

  @Column({ ...BINARY, name: 'fingerprint' })
  fingerprint!: string;

  @Column({ name: 'appended_at', type: 'datetime', precision: 6, default: () => 'CURRENT_TIMESTAMP(6)' })
  appendedAt!: Date;
}
