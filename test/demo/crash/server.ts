import { startMariaDb } from '../../support/mariadb-server.js';
import { startPostgres } from '../../support/postgres-server.js';
import type { DatabaseName } from './options.js';

/** A database server, which outlives every app. */
export interface Server {
  /** Its address. */
  createDatabase(name: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startServer(database: DatabaseName): Promise<Server> {
  if (database === 'postgres') {
    const server = await startPostgres();
    return {
      createDatabase: async (name) => (await server.createDatabase(name)).url,
      stop: () => server.stop(),
    };
  }
  const server = await startMariaDb();
  return {
    async createDatabase(name) {
      const { host, port, username } = await server.createDatabase(name);
      return `mariadb://${username}@${host}:${port}/${name}`;
    },
    stop: () => server.stop(),
  };
}
