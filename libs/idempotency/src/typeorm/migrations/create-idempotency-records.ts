import type { MigrationInterface, QueryRunner } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import type { Database } from '../database.js';
import { databaseOf, SUPPORTED_TYPES } from '../databases.js';
import { DEFAULT_TABLE, parseTableName, type TableName } from '../table-name.js';

/** Creates the table of the records under its default name, on any database that the storage supports. */
export class CreateIdempotencyRecords1795305600000 implements MigrationInterface {
  readonly name: string = 'CreateIdempotencyRecords1795305600000';
  protected readonly table: TableName = { schema: undefined, name: DEFAULT_TABLE };

  up(queryRunner: QueryRunner): Promise<void> {
    return run(queryRunner, databaseUnder(queryRunner).createTable(inSchemaOf(queryRunner, this.table)));
  }

  down(queryRunner: QueryRunner): Promise<void> {
    return run(queryRunner, databaseUnder(queryRunner).dropTable(inSchemaOf(queryRunner, this.table)));
  }
}

/**
 * The same migration for the table name given as `table` to `typeOrmStorage`.
 *
 *     new DataSource({ migrations: [createIdempotencyRecords('app.idempotency')] })
 */
export function createIdempotencyRecords(table: string): new () => MigrationInterface {
  const parsed = parseTableName(table);
  return class extends CreateIdempotencyRecords1795305600000 {
    override readonly name = `CreateIdempotencyRecords_${table.replace('.', '_')}_1795305600000`;
    protected override readonly table = parsed;
  };
}

async function run(queryRunner: QueryRunner, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await queryRunner.query(statement);
}

function databaseUnder(queryRunner: QueryRunner): Database {
  const { type } = queryRunner.connection.options;
  const database = databaseOf(type);
  if (database !== undefined) return database;
  throw new InvalidOptionsError(
    `CreateIdempotencyRecords: the DataSource is of type '${type}'. Supported is ${SUPPORTED_TYPES.map((one) => `'${one}'`).join(', ')}.`,
  );
}

/** Where the DataSource names a schema, as on PostgreSQL, the table belongs there. */
function inSchemaOf(queryRunner: QueryRunner, table: TableName): TableName {
  const { options } = queryRunner.connection;
  const schema = 'schema' in options ? options.schema : undefined;
  return { schema: table.schema ?? schema, name: table.name };
}
