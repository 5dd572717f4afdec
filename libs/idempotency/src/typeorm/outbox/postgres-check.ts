import { inspect } from '../postgres/statements.js';
import { quoteTable, type TableName } from '../table-name.js';
import type { Ask } from './connections.js';
import { refusal, TableProblems } from './table-problems.js';

/** As PostgreSQL names them: column, type and, where it is not the database's, collation. */
const COLUMNS = [
  'sequence bigint',
  'id text C',
  'aggregate text C',
  'pattern text C',
  'payload text',
  'headers text',
  'correlation_id text C',
  'attempts integer',
  'owner uuid',
  'error text',
  'added_at timestamp with time zone',
  'due_at timestamp with time zone',
  'died_at timestamp with time zone',
  'delivered_at timestamp with time zone',
];

const OLDEST = 120_000;

/** @throws InvalidOptionsError with what is wrong and the mend */
export async function checkPostgresTable(ask: Ask, table: TableName): Promise<TableName> {
  const problems = new TableProblems(table, 'OutboxEntry');
  const found = (await ask(inspect, [quoteTable(table)])).rows[0] ?? {};
  const version = Number(found['version']);
  if (version < OLDEST)
    throw refusal(`PostgreSQL ${Math.floor(version / 10_000)} is too old, it needs 12 or later.`);
  const place = String(found['place']);
  if (found['found'] !== true) throw problems.missing(place);
  const columns = found['columns'] as readonly string[];
  const lacking = COLUMNS.filter((column) => !columns.includes(column));
  if (lacking.length > 0) throw problems.lacks(lacking);
  if (found['unique_id'] !== true) throw problems.idNotUnique();
  if (found['may_write'] !== true) throw problems.mayNotWrite(place);
  return { schema: String(found['schema']), name: table.name };
}
