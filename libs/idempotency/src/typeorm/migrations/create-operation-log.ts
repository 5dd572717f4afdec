import type { MigrationInterface, QueryRunner } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import { mariadbLog, postgresLog, type LogTable } from '../operation-log/tables.js';
import { parseTableName, type TableName } from '../table-name.js';

const LOGS: Readonly<Record<string, LogTable>> = {
  postgres: postgresLog,
  mariadb: mariadbLog,
  mysql: mariadbLog,
};

/** Creates the table of the operation log and what refuses to change or delete its entries. */
export class CreateOperationLog1795392000000 implements MigrationInterface {
  readonly name: string = 'CreateOperationLog1795392000000';
  protected readonly table: TableName = { schema: undefined, name: 'operation_log' };

  async up(queryRunner: QueryRunner): Promise<void> {
    for (const statement of logUnder(queryRunner).create(this.placed(queryRunner)))
      await queryRunner.query(statement);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const statement of logUnder(queryRunner).drop(this.placed(queryRunner)))
      await queryRunner.query(statement);
  }

  /** Where the DataSource names a schema, as on PostgreSQL, the table belongs there. */
  private placed(queryRunner: QueryRunner): TableName {
    const { options } = queryRunner.connection;
    const schema = 'schema' in options ? options.schema : undefined;
    return { schema: this.table.schema ?? schema, name: this.table.name };
  }
}

/** The same migration for another table, or a further one: `createOperationLog('app.commands')`. */
export function createOperationLog(table: string): new () => MigrationInterface {
  const parsed = parseTableName(table);
  return class extends CreateOperationLog1795392000000 {
    override readonly name = `CreateOperationLog_${table.replace('.', '_')}_1795392000000`;
    protected override readonly table = parsed;
  };
}

function logUnder(queryRunner: QueryRunner): LogTable {
  const { type } = queryRunner.connection.options;
  const log = LOGS[type];
  if (log !== undefined) return log;
  throw new InvalidOptionsError(
    `CreateOperationLog: the DataSource is of type '${type}', where nothing would keep entries from being changed. Supported is 'postgres', 'mariadb', 'mysql'.`,
  );
}
