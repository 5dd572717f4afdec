import type { DataSource } from 'typeorm';
import type { Database, OpenSettings, RecordTable, Transactional } from '../database.js';
import type { TableName } from '../table-name.js';
import { ControlConnections } from './control-connections.js';
import type { MariaDbOptions } from './control-options.js';
import { createTable } from './create-table.js';
import { claimOnMariaDb } from './mariadb-claim.js';
import { MariaDbIdempotencyRecord } from './record.entity.js';
import { MariaDbRecords } from './mariadb-records.js';
import { claimOnMySql } from './mysql-claim.js';
import { quoteTable } from './quoting.js';
import { mariadbTransactions } from './request-transactions.js';
import { checkTable } from './table-check.js';

/** MariaDB and MySQL: a DataSource of either type connects to both. */
export const mariadb: Database = {
  types: ['mariadb', 'mysql'],
  entity: MariaDbIdempotencyRecord,
  createTable: (table) => [createTable(table)],
  dropTable: (table) => [`drop table if exists ${quoteTable(table)}`],
  open,
};

async function open(dataSource: DataSource, table: TableName, settings: OpenSettings): Promise<RecordTable> {
  const { controlConnections: size, preparedStatements, warn } = settings;
  const options = dataSource.options as MariaDbOptions;
  const connections = await ControlConnections.open(options, { size, preparedStatements });
  let transactional: Transactional;
  try {
    await checkTable(connections, table);
    transactional = await transactionsOf(connections, table);
  } catch (error) {
    await connections.close();
    throw error;
  }
  const isMySql = connections.server.name === 'MySQL';
  if (isMySql) {
    warn(
      'typeOrmStorage: its statements for MySQL have been run on MariaDB alone, never on a MySQL server. Try it before you rely on it.',
    );
  }
  return new MariaDbRecords(connections, isMySql ? claimOnMySql : claimOnMariaDb, table, transactional);
}

async function transactionsOf(connections: ControlConnections, table: TableName): Promise<Transactional> {
  const ask = (sql: string) => connections.query({ name: 'inspect', sql }, []);
  const { rows } = await ask('select cast(database() as binary) as name');
  const snapshots = await ask(`show variables like 'innodb\\_snapshot\\_isolation'`);
  return {
    dialect: mariadbTransactions({
      server: connections.server.name,
      mindsSnapshots: snapshots.rows.length > 0,
    }),
    table: { schema: table.schema ?? String(rows[0]?.['name']), name: table.name },
  };
}
