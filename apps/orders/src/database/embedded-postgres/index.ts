import { join } from 'node:path';
import pg from 'pg';
import { countLiveApps, registerApp, unregisterApp } from '../../../../shared/src/processes/user-registry.js';
import { findBinaries } from './binaries.js';
import { SUPERUSER, createCluster, hasCluster, readPassword } from './cluster.js';
import { findServerHome } from './home.js';
import type { ServerHome } from './home.js';
import { withLockFile } from '../../../../shared/src/processes/lock-file.js';
import { stopPostmaster } from './postmaster.js';
import type { Postmaster } from './postmaster.js';
import { awaitRunningServer, startServer } from './server.js';

const DATABASE = 'orders';

export interface EmbeddedPostgres {
  readonly url: string;
  /** Where the data are: not always where they were asked for. */
  readonly folder: string;
  /** Gives the server up. The last app to do so stops it. */
  release(): Promise<'stopped' | 'left running'>;
}

/**
 * A real PostgreSQL without an installation. The server is shared by all apps that name the same `dataDir`, and outlives
 * each of them: an app killed with -9 finds its data, and mostly its server, when it starts again.
 */
export async function startEmbeddedPostgres(
  dataDir: string,
  report: (line: string) => void = () => undefined,
): Promise<EmbeddedPostgres> {
  const home = findServerHome(dataDir);
  const { pid, port } = await locked(home, report, async () => {
    registerApp(home.folder);
    try {
      const server = (await awaitRunningServer(home)) ?? (await startAnew(home, report));
      await createDatabase(home, server);
      return server;
    } catch (error) {
      await release(home);
      throw error;
    }
  });
  report(`ready on 127.0.0.1:${port}, pid ${pid}, data in ${home.folder}`);
  return {
    url: urlOf(home, port, DATABASE),
    folder: home.folder,
    release: () => locked(home, report, () => release(home)),
  };
}

async function startAnew(home: ServerHome, report: (line: string) => void): Promise<Postmaster> {
  const { initdb, postgres } = findBinaries(home);
  if (!hasCluster(home)) {
    report(`initialising data in ${home.folder}`);
    await createCluster(initdb, home);
  }
  report('starting');
  return startServer(postgres, home);
}

async function release(home: ServerHome): Promise<'stopped' | 'left running'> {
  unregisterApp(home.folder);
  if (countLiveApps(home.folder) > 0) return 'left running';
  await stopPostmaster(home);
  return 'stopped';
}

async function createDatabase(home: ServerHome, { port }: Postmaster): Promise<void> {
  const client = new pg.Client(urlOf(home, port, 'postgres'));
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}

function urlOf(home: ServerHome, port: number, database: string): string {
  return `postgres://${SUPERUSER}:${readPassword(home)}@127.0.0.1:${port}/${database}`;
}

function locked<T>(home: ServerHome, report: (line: string) => void, work: () => Promise<T>): Promise<T> {
  return withLockFile(join(home.folder, 'lock'), work, {
    onWait: (holder) => report(`waiting for process ${holder}, which is starting or stopping it`),
  });
}
