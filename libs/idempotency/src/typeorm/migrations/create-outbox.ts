import type { MigrationInterface, QueryRunner } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import { DEFAULT_OUTBOX_TABLE, mariadbOutbox, postgresOutbox, type OutboxDdl } from '../outbox/tables.js';
import { parseTableName, type TableName } from '../table-name.js';

const OUTBOXES: Readonly<Record<string, OutboxDdl>> = {
  postgres: postgresOutbox,
  mariadb: mariadbOutbox,
  mysql: mariadbOutbox,
};

/** Creates the table of the outbox, `outbox_messages`. */
export class CreateOutbox1795478400000 implements MigrationInterface {
  readonly name: string = 'CreateOutbox1795478400000';
  protected readonly table: TableName = { schema: undefined, name: DEFAULT_OUTBOX_TABLE };

  async up(queryRunner: QueryRunner): Promise<void> {
    for (const statement of outboxUnder(queryRunner).create(this.placed(queryRunner)))
      await queryRunner.query(statement);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const statement of outboxUnder(queryRunner).drop(this.placed(queryRunner)))
      await queryRunner.query(statement);
  }

  /** Where the DataSource names a schema, as on PostgreSQL, the table belongs there. */
  private placed(queryRunner: QueryRunner): TableName {
    const { options } = queryRunner.connection;
    const schema = 'schema' in options ? options.schema : undefined;
    return { schema: this.table.schema ?? schema, name: this.table.name };
  }
}

/** The same migration for another table, the one given as `table` to the outbox: `createOutbox('app.messages')`. */
export function createOutbox(table: string): new () => MigrationInterface {
  const parsed = parseTableName(table, { by: 'createOutbox', example: DEFAULT_OUTBOX_TABLE });
  return class extends CreateOutbox1795478400000 {
    override readonly name = `CreateOutbox_${table.replace('.', '_')}_1795478400000`;
    protected override readonly table = parsed;
  };
}

function outboxUnder(queryRunner: QueryRunner): OutboxDdl {
  const { type } = queryRunner.connection.options;
  const outbox = OUTBOXES[type];
  if (outbox !== undefined) return outbox;
  throw new InvalidOptionsError(
    `CreateOutbox: the DataSource is of type '${type}', where a message could not be added in the transaction of what it tells of. Supported is 'postgres', 'mariadb', 'mysql'.`,
  );
}
