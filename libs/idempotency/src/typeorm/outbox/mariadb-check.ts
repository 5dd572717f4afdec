import { serverOf } from '../mariadb/session-settings.js';
import { quoteTable } from '../mariadb/quoting.js';
import type { TableName } from '../table-name.js';
import { chain } from '../transaction/errors.js';
import { messageOf } from '../unavailable.js';
import type { Ask } from './connections.js';
import { textIn } from './message-rows.js';
import { refusal, TableProblems } from './table-problems.js';
import { MARIADB_INDEXES, MAX_NAME_BYTES } from './tables.js';

/** Column and type, without a width that means nothing. */
const COLUMNS = [
  'sequence bigint',
  `id varbinary(${MAX_NAME_BYTES})`,
  `aggregate varbinary(${MAX_NAME_BYTES})`,
  `pattern varbinary(${MAX_NAME_BYTES})`,
  'payload longtext',
  'headers longtext',
  `correlation_id varbinary(${MAX_NAME_BYTES})`,
  'attempts int',
  'owner char(36)',
  'error longtext',
  'added_at bigint',
  'due_at bigint',
  'died_at bigint',
  'delivered_at bigint',
];
const INDEXES = [
  `${MARIADB_INDEXES.due} delivered_at,died_at,due_at,sequence,aggregate`,
  `${MARIADB_INDEXES.heads} aggregate,delivered_at,sequence,died_at`,
  `${MARIADB_INDEXES.owner} owner`,
  `${MARIADB_INDEXES.delivered} delivered_at,sequence`,
];

/** The catalog's texts have many collations, which MySQL does not mix. */
const bytes = (text: string) => `cast(${text} as binary)`;
const IN_TABLE = 'table_schema = coalesce(?, database()) and table_name = ?';

/** ? schema or null and ? table, three times. The rows of one table each are `kind` and `text`. */
const INSPECT = `
select 'column' as kind, ${bytes(`concat(column_name, ' ', regexp_replace(column_type, '^(int|bigint)[(][0-9]+[)]', '\\\\1'))`)} as text
from information_schema.columns where ${IN_TABLE}
union all
select 'engine', ${bytes('engine')} from information_schema.tables where ${IN_TABLE}
union all
select if(non_unique, 'index', 'unique'), ${bytes(`concat(index_name, ' ', group_concat(column_name order by seq_in_index))`)}
from information_schema.statistics where ${IN_TABLE} group by index_name, non_unique
union all
select 'place', ${bytes(`concat('database ', coalesce(database(), '(none)'), ', user ', current_user())`)}
union all
select 'version', ${bytes('version()')}
union all
select 'database', ${bytes('database()')}
union all
select 'binlog', ${bytes(`if(@@log_bin, @@binlog_format, 'none')`)}`;

/** Nothing for the database, the table or a column of it. */
const NO_RIGHTS: readonly unknown[] = [1044, 1142, 1143];
const NO_TABLE = 1146;

/** @throws InvalidOptionsError with what is wrong and the mend */
export async function checkMariaDbTable(ask: Ask, table: TableName): Promise<TableName> {
  const problems = new TableProblems(table, 'MariaDbOutboxEntry');
  const place = [table.schema ?? null, table.name];
  const { rows } = await ask(INSPECT, [...place, ...place, ...place]);
  const found = (kind: string) =>
    rows.filter((row) => textIn(row, 'kind') === kind).map((row) => textIn(row, 'text') ?? '');
  const where = found('place')[0] ?? '';
  serverOf(found('version')[0] ?? '', 'OutboxModule');
  if (found('binlog').includes('STATEMENT')) {
    throw refusal(
      'the server writes its binary log by statements (`binlog_format = STATEMENT`), which cannot repeat what skips locked rows. Set it to MIXED or ROW.',
    );
  }
  const denied = await rightsDenied(ask, table);
  if (denied === NO_TABLE) throw problems.missing(where);
  if (denied !== undefined) throw problems.mayNotWrite(`${where}: ${denied}`);
  const columns = found('column');
  const lacking = COLUMNS.filter((column) => !columns.includes(column));
  if (lacking.length > 0) throw problems.lacks(lacking);
  if (!found('engine').includes('InnoDB')) {
    throw refusal(
      `the table \`${table.name}\` is kept by ${found('engine').join()}, which has no transactions. Run \`alter table ${table.name} engine = InnoDB\`.`,
    );
  }
  if (!found('unique').some((index) => index.endsWith(' id'))) throw problems.idNotUnique();
  const missing = INDEXES.filter((index) => !found('index').includes(index));
  if (missing.length > 0) throw problems.lacks(missing.map((index) => `index ${index}`));
  return { schema: table.schema ?? found('database')[0], name: table.name };
}

/** The catalog tells rights by user, role, host pattern and level; asking for nothing tells what counts. */
async function rightsDenied(ask: Ask, table: TableName): Promise<typeof NO_TABLE | string | undefined> {
  const quoted = quoteTable(table);
  const questions = [
    `select 1 from ${quoted} where false`,
    `insert into ${quoted} select * from ${quoted} where false`,
    `update ${quoted} set sequence = sequence where false`,
    `delete from ${quoted} where false`,
  ];
  for (const sql of questions) {
    try {
      await ask(sql);
    } catch (error) {
      const numbers = [...chain(error)].map(({ errno }) => errno);
      if (numbers.includes(NO_TABLE)) return NO_TABLE;
      if (numbers.some((number) => NO_RIGHTS.includes(number))) return messageOf(error);
      throw error;
    }
  }
  return undefined;
}
