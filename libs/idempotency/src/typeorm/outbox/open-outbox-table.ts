import type { DataSource, EntityTarget, ObjectLiteral } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import { parseTableName, type TableName } from '../table-name.js';
import { OutboxConnections, type Ask } from './connections.js';
import { checkMariaDbTable } from './mariadb-check.js';
import { MariaDbOutboxEntry } from './mariadb-entry.entity.js';
import { MariaDbOutbox } from './mariadb-outbox.js';
import type { MessageStore } from './message-store.js';
import type { OutboxTable } from './outbox-table.js';
import { checkPostgresTable } from './postgres-check.js';
import { OutboxEntry } from './postgres-entry.entity.js';
import { PostgresOutbox } from './postgres-outbox.js';
import { DEFAULT_OUTBOX_TABLE } from './tables.js';
import { TypeOrmOutbox } from './typeorm-outbox.js';

interface Kind {
  /** As people call it. */
  readonly server: string;
  /** Where it is registered with the DataSource, its metadata name the table. */
  readonly entity: EntityTarget<ObjectLiteral>;
  /** Answers with the schema, so that it is the same table in every session. @throws InvalidOptionsError */
  check(ask: Ask, table: TableName): Promise<TableName>;
  store(table: TableName): MessageStore;
}

const POSTGRES: Kind = {
  server: 'PostgreSQL',
  entity: OutboxEntry,
  check: checkPostgresTable,
  store: (table) => new PostgresOutbox(table),
};
const MARIADB: Kind = {
  server: 'MariaDB',
  entity: MariaDbOutboxEntry,
  check: checkMariaDbTable,
  store: (table) => new MariaDbOutbox(table),
};
const KINDS: Readonly<Record<string, Kind>> = {
  postgres: POSTGRES,
  mariadb: MARIADB,
  mysql: { ...MARIADB, server: 'MySQL' },
};

/**
 * The outbox of a DataSource, which must be initialized.
 *
 * @param table `outbox_messages`, `app.outbox_messages`; by default that of the entity where it is registered, else `outbox_messages`
 * @throws InvalidOptionsError when the database or the table cannot hold messages, with the mend; StorageUnavailableError when
 * the database does not answer
 */
export async function openOutboxTable(
  dataSource: DataSource,
  table: string | undefined,
): Promise<OutboxTable> {
  const { type } = dataSource.options;
  const kind = KINDS[type];
  if (kind === undefined) {
    throw new InvalidOptionsError(
      `OutboxModule: the DataSource is of type '${type}', where a message could not be added in the transaction of what it tells of while others write beside it. Supported is 'postgres', 'mariadb', 'mysql'.`,
    );
  }
  if (!dataSource.isInitialized) {
    throw new InvalidOptionsError(
      'OutboxModule: the DataSource is not initialized. Call `await dataSource.initialize()` before the application starts; the outbox neither opens nor closes what is yours.',
    );
  }
  const connections = new OutboxConnections(dataSource, kind.server);
  const named = tableIn(dataSource, kind, table);
  const found = await connections.use('look at its table', (ask) => kind.check(ask, named));
  return new TypeOrmOutbox(connections, kind.store(found));
}

/** Where the entity is registered, naming strategy and prefix have their say. */
function tableIn(dataSource: DataSource, { entity }: Kind, table: string | undefined): TableName {
  const schema = 'schema' in dataSource.options ? dataSource.options.schema : undefined;
  if (table !== undefined) {
    const parsed = parseTableName(table, { by: 'OutboxModule', example: DEFAULT_OUTBOX_TABLE });
    return { schema: parsed.schema ?? schema, name: parsed.name };
  }
  if (!dataSource.hasMetadata(entity)) return { schema, name: DEFAULT_OUTBOX_TABLE };
  const metadata = dataSource.getMetadata(entity);
  return { schema: metadata.schema ?? schema, name: metadata.tableName };
}
