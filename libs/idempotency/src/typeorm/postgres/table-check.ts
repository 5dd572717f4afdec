import { InvalidOptionsError } from '../../core/errors.js';
import type { Row } from '../rows.js';
import { DEFAULT_TABLE, describeTable, type TableName } from '../table-name.js';

/** As PostgreSQL names them: column, type and, where it is not the database's, collation. */
const COLUMNS = [
  'id text C',
  'state smallint',
  'attempt integer',
  'previous smallint',
  'owner uuid',
  'owner_found uuid',
  'fingerprint text C',
  'created_at timestamp with time zone',
  'lease_until timestamp with time zone',
  'expires_at timestamp with time zone',
  'steps_found integer',
  'steps bytea',
  'result bytea',
];

const OLDEST = 120_000;

/** @throws InvalidOptionsError with what is wrong and the mend */
export function checkTable(table: TableName, found: Row): void {
  const version = Number(found['version']);
  if (version < OLDEST) {
    throw new InvalidOptionsError(
      `typeOrmStorage: PostgreSQL ${Math.floor(version / 10_000)} is too old, it needs 12 or later.`,
    );
  }
  const name = describeTable(table);
  const mend =
    name === DEFAULT_TABLE
      ? 'Add the migration `CreateIdempotencyRecords1795305600000` from `nestjs-idempotent/typeorm` to the DataSource and run it, ' +
        'or its entity `IdempotencyRecord` where the schema is synchronized.'
      : `Add the migration \`createIdempotencyRecords('${name}')\` from \`nestjs-idempotent/typeorm\` to the DataSource and run it.`;
  if (found['found'] !== true) {
    throw new InvalidOptionsError(
      `typeOrmStorage: there is no table \`${name}\` (${String(found['place'])}). ${mend}`,
    );
  }
  const columns = found['columns'] as readonly string[];
  const missing = COLUMNS.filter((column) => !columns.includes(column));
  if (missing.length > 0) {
    throw new InvalidOptionsError(
      `typeOrmStorage: the table \`${name}\` is not the one that the storage needs; it lacks ${missing.map((column) => `\`${column}\``).join(', ')}. ${mend}`,
    );
  }
  if (found['unique_id'] !== true) {
    throw new InvalidOptionsError(
      `typeOrmStorage: nothing makes \`id\` unique in the table \`${name}\`, so one key could run twice. Make it the primary key.`,
    );
  }
  if (found['may_write'] !== true) {
    throw new InvalidOptionsError(
      `typeOrmStorage: the table \`${name}\` may not be read and written (${String(found['place'])}). Grant SELECT, INSERT, UPDATE and DELETE on it.`,
    );
  }
}
