import { InvalidOptionsError } from '../../core/errors.js';
import { DEFAULT_TABLE, describeTable, type TableName } from '../table-name.js';
import { numberOf, type ControlConnections } from './control-connections.js';
import { MAX_ID_BYTES } from './create-table.js';
import { quoteTable } from './quoting.js';

/** Column, type without a width that means nothing, and, where it has one, collation. */
const COLUMNS = [
  `id varbinary(${MAX_ID_BYTES})`,
  'state tinyint',
  'attempt int',
  'previous tinyint',
  'owner char(36) ascii_bin',
  'owner_found char(36) ascii_bin',
  'fingerprint varbinary(255)',
  'created_at bigint',
  'lease_until bigint',
  'expires_at bigint',
  'steps_found int',
  'steps longblob',
  'result longblob',
];
const EXPIRY_INDEX = 'idempotency_records_expires_at';

const IN_TABLE = (alias: string) =>
  `${alias}.table_schema = coalesce(?, database()) and ${alias}.table_name = ?`;
/** The catalog's texts have many collations, which MySQL does not mix. */
const bytes = (text: string) => `cast(${text} as binary)`;
const TYPE = `regexp_replace(c.column_type, '^(tinyint|int|bigint)[(][0-9]+[)]', '\\\\1')`;

/** ? schema or null and ? table, three times. The rows of one table each are `kind` and `text`. */
const INSPECT = `
select 'column' as kind, ${bytes(`concat_ws(' ', c.column_name, ${TYPE}, c.collation_name)`)} as text
from information_schema.columns c where ${IN_TABLE('c')}
union all
select 'engine', ${bytes('t.engine')} from information_schema.tables t where ${IN_TABLE('t')}
union all
select if(s.non_unique, 'index', 'unique'),
  ${bytes(`concat(s.index_name, ' ', group_concat(s.column_name order by s.seq_in_index))`)}
from information_schema.statistics s where ${IN_TABLE('s')} group by s.index_name, s.non_unique
union all
select 'place', ${bytes(`concat('database ', coalesce(database(), '(none)'), ', user ', current_user())`)}
union all
select 'binlog', ${bytes(`if(@@log_bin, @@binlog_format, 'none')`)}`;

const NO_TABLE = 1146;
/** Nothing for the database, the table or a column of it. */
const NO_RIGHTS = [1044, 1142, 1143];

/** @throws InvalidOptionsError with what is wrong and the mend; StorageUnavailableError when nobody answers */
export async function checkTable(connections: ControlConnections, table: TableName): Promise<void> {
  const name = describeTable(table);
  const found = await inspect(connections, table);
  const place = found('place')[0] ?? '';
  const refuse = (sentence: string) => new InvalidOptionsError(`typeOrmStorage: ${sentence}`);
  if (found('binlog').includes('STATEMENT')) {
    throw refuse(
      'the server writes its binary log by statements (`binlog_format = STATEMENT`), which cannot repeat what depends on the clock. Set it to MIXED or ROW.',
    );
  }
  const columns = found('column');
  const lacks = COLUMNS.filter((column) => !columns.includes(column));
  const denied = await rightsDenied(connections, table);
  if (denied === 'no table') throw refuse(`there is no table \`${name}\` (${place}). ${mend(name)}`);
  if (denied !== undefined) {
    throw refuse(
      `the table \`${name}\` may not be read and written (${place}: ${denied}). Grant SELECT, INSERT, UPDATE and DELETE on it.`,
    );
  }
  if (lacks.length > 0) {
    throw refuse(
      `the table \`${name}\` is not the one that the storage needs; it lacks ${lacks.map((column) => `\`${column}\``).join(', ')}. ${mend(name)}`,
    );
  }
  if (!found('engine').includes('InnoDB')) {
    throw refuse(
      `the table \`${name}\` is kept by ${found('engine').join()}, which has no transactions. Run \`alter table ${name} engine = InnoDB\`.`,
    );
  }
  if (!found('unique').some((index) => index.endsWith(' id'))) {
    throw refuse(
      `nothing makes \`id\` unique in the table \`${name}\`, so one key could run twice. Make it the primary key.`,
    );
  }
  if (!found('index').includes(`${EXPIRY_INDEX} expires_at`)) {
    throw refuse(
      `the table \`${name}\` has no index \`${EXPIRY_INDEX}\` on \`expires_at\`, by which expired records are found. Create it.`,
    );
  }
}

async function inspect(connections: ControlConnections, { schema, name }: TableName) {
  const place = [schema ?? null, name];
  const { rows } = await connections.query({ name: 'inspect', sql: INSPECT.trim() }, [
    ...place,
    ...place,
    ...place,
  ]);
  return (kind: string) => rows.filter((row) => row['kind'] === kind).map((row) => String(row['text']));
}

/** The catalog tells rights by user, role, host pattern and level; asking for nothing tells what counts. */
async function rightsDenied(connections: ControlConnections, table: TableName): Promise<string | undefined> {
  const quoted = quoteTable(table);
  const questions = [
    `select 1 from ${quoted} where false`,
    `insert into ${quoted} select * from ${quoted} where false`,
    `update ${quoted} set state = state where false`,
    `delete from ${quoted} where false`,
  ];
  for (const sql of questions) {
    try {
      await connections.query({ name: 'inspect', sql }, []);
    } catch (error) {
      const { cause } = error as Error;
      if (numberOf(cause) === NO_TABLE) return 'no table';
      if (NO_RIGHTS.includes(numberOf(cause) as number)) return (cause as Error).message;
      throw error;
    }
  }
  return undefined;
}

function mend(name: string): string {
  return name === DEFAULT_TABLE
    ? 'Add the migration `CreateIdempotencyRecords1795305600000` from `nestjs-idempotent/typeorm` to the DataSource and run it, ' +
        'or its entity `MariaDbIdempotencyRecord` where the schema is synchronized.'
    : `Add the migration \`createIdempotencyRecords('${name}')\` from \`nestjs-idempotent/typeorm\` to the DataSource and run it.`;
}
