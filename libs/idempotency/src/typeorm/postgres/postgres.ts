import type { DataSource } from 'typeorm';
import type { Database, OpenSettings, RecordTable } from '../database.js';
import { IdempotencyRecord } from './record.entity.js';
import { quoteTable, type TableName } from '../table-name.js';
import { ControlConnections } from './control-connections.js';
import type { PostgresOptions } from './control-options.js';
import { createTable } from './create-table.js';
import { PostgresRecords } from './postgres-records.js';
import * as statements from './statements.js';
import { checkTable } from './table-check.js';
import { postgresTransactions } from './request-transactions.js';

export const postgres: Database = {
  types: ['postgres'],
  entity: IdempotencyRecord,
  createTable: (table) => [createTable(table)],
  dropTable: (table) => [`drop table if exists ${quoteTable(table)}`],
  open,
};

async function open(dataSource: DataSource, table: TableName, settings: OpenSettings): Promise<RecordTable> {
  const { controlConnections: size, preparedStatements, warn } = settings;
  const options = dataSource.options as PostgresOptions;
  const connections = await ControlConnections.open(options, { size, preparedStatements, warn });
  let schema: string;
  try {
    const { rows } = await connections.query({ name: 'inspect', sql: statements.inspect }, [
      quoteTable(table),
    ]);
    checkTable(table, rows[0] ?? {});
    schema = String(rows[0]?.['schema']);
  } catch (error) {
    await connections.close();
    throw error;
  }
  return new PostgresRecords(connections, statements, table, {
    dialect: postgresTransactions,
    table: { ...table, schema },
  });
}
