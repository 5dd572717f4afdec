import { afterAll } from '@jest/globals';
import * as typeorm from 'typeorm';
import * as typeorm03 from 'typeorm-0.3';
import type { DataSource, DataSourceOptions } from 'typeorm';
import { randomUUID } from 'node:crypto';
import { useMariaDb } from '../../support/mariadb-fixture.js';
import { usePostgres } from '../../support/postgres-fixture.js';
import { useSqlite } from '../../support/sqlite-fixture.js';

export interface Kind {
  readonly name: string;
  readonly database: 'PostgreSQL' | 'MariaDB' | 'SQLite';
  /** A DataSource on a new database that has the tables of these entities. */
  open(entities: DataSourceOptions['entities'], more?: Partial<DataSourceOptions>): Promise<DataSource>;
}

/** The databases, each under both versions of TypeORM. MariaDB also under the driver's other name, where nothing is answered. */
export function useDatabases(): readonly Kind[] {
  const [postgres, mariadb, sqlite] = [usePostgres(), useMariaDb(), useSqlite()];
  const opened: DataSource[] = [];
  afterAll(async () => {
    await Promise.all(opened.map((dataSource) => dataSource.destroy()));
  }, 30_000);
  const addresses: Record<Kind['database'], () => Promise<object>> = {
    PostgreSQL: () => postgres.server.createDatabase(`patterns_${randomUUID()}`),
    MariaDB: () => mariadb.server.createDatabase(`patterns_${randomUUID()}`),
    SQLite: async () => ({ type: 'better-sqlite3', database: sqlite.path() }),
  };
  const kind = (version: string, database: Kind['database'], more: object = {}): Kind => ({
    name: `${'type' in more ? 'MySQL’s way on ' : ''}${database} with TypeORM ${version}`,
    database,
    async open(entities, own = {}) {
      const options = { ...(await addresses[database]()), ...more, entities, synchronize: true, ...own };
      const { DataSource: Class } = (version === '1' ? typeorm : typeorm03) as typeof typeorm;
      const dataSource = await new Class(options as DataSourceOptions).initialize();
      opened.push(dataSource);
      return dataSource;
    },
  });
  return [
    kind('1', 'PostgreSQL'),
    kind('0.3', 'PostgreSQL'),
    kind('1', 'MariaDB'),
    kind('0.3', 'MariaDB'),
    kind('1', 'MariaDB', { type: 'mysql' }),
    kind('1', 'SQLite'),
    kind('0.3', 'SQLite'),
  ];
}
