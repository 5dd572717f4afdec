import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { isAlive } from '../../apps/shared/src/processes/processes.js';
import { freePort } from '../support/free-port.js';
import { OrdersClient } from '../support/orders-client.js';
import { buildOrders, endAllOrders, spawnOrders, type OrdersProcess } from '../support/orders-process.js';
import { endPayments } from '../support/embedded-payments.js';
import { eventually } from '../support/postgres-fixture.js';
import { temporaryDataDir } from '../support/temporary-data-dir.js';

/** Beyond the highest pid that Linux gives. */
const NOBODY = 99_999_999;

let dataDir: string;
const home = (...path: string[]) => join(dataDir, 'postgres', ...path);
const pidFile = () => home('cluster', 'postmaster.pid');
const serverPid = () => Number(readFileSync(pidFile(), 'utf8').split('\n')[0]);
/** Without the payment service, which payments-launcher.spec.ts is about. */
const start = (env: Record<string, string> = {}) =>
  spawnOrders({ DATA_DIR: dataDir, PAYMENTS_URL: 'http://127.0.0.1:1', ...env });

async function stop(app: OrdersProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<string> {
  app.kill(signal);
  expect(await app.ended).toBe(0);
  return app.said();
}

/** Whatever a test has left running, also when it failed. */
async function cleanUp(): Promise<void> {
  await endAllOrders();
  await endPayments(dataDir);
  if (existsSync(pidFile()) && isAlive(serverPid())) {
    const pid = serverPid();
    process.kill(pid, 'SIGQUIT');
    await eventually(() => expect(isAlive(pid)).toBe(false));
  }
  rmSync(dataDir, { recursive: true, force: true });
}

beforeAll(() => buildOrders(), 60_000);

describe('two apps that are started at the same moment', () => {
  let apps: [OrdersProcess, OrdersProcess];
  let urls: string[];
  beforeAll(async () => {
    dataDir = temporaryDataDir();
    apps = [start({ PLATFORM: 'express' }), start({ PLATFORM: 'fastify' })];
    urls = await Promise.all(apps.map((app) => app.ready()));
  }, 60_000);
  afterAll(cleanUp, 30_000);

  it('make their data once, and share one server', async () => {
    const said = apps.map((app) => app.said()).join('');
    expect(said.match(/initialising data/g)).toHaveLength(1);
    expect(said.match(/made by CreateOrders/g)).toHaveLength(1);
    const servers = apps.map((app) => /ready on (\S+, pid \d+)/.exec(app.said())?.[1]);
    expect(servers[0]).toBe(servers[1]);

    const ada = new OrdersClient(urls[0]!);
    const order = await ada.order();
    expect((await ada.at(urls[1]!).get(`/orders/${order.id}`)).body).toEqual(order);
  });

  it('serve their docs to anybody, on both platforms', async () => {
    for (const url of urls) {
      const client = new OrdersClient(url);
      const page = await client.get('/docs', { user: null });
      expect(page.status).toBe(200);
      expect(page.body).toContain('swagger-ui');
      const { body } = await client.get('/docs-json', { user: null });
      expect(body).toHaveProperty(['paths', '/orders', 'post']);
    }
  });

  it('leave the server to each other, and the last one stops it', async () => {
    const server = serverPid();
    expect(await stop(apps[0], 'SIGTERM')).toContain('PostgreSQL left running');
    expect((await new OrdersClient(urls[1]!).get('/health')).status).toBe(200);
    expect(await stop(apps[1], 'SIGINT')).toContain('PostgreSQL stopped');
    expect(isAlive(server)).toBe(false);
  }, 30_000);
});

describe('an app', () => {
  beforeEach(() => {
    dataDir = temporaryDataDir();
  });
  afterEach(cleanUp, 30_000);

  it('that is killed with -9 leaves server and data to the next one, which may be the last', async () => {
    const first = start();
    const ada = new OrdersClient(await first.ready());
    const order = await ada.order();
    const server = serverPid();
    first.kill('SIGKILL');
    expect(await first.ended).toBe('SIGKILL');
    expect(isAlive(server)).toBe(true);

    const second = start();
    expect((await ada.at(await second.ready()).get('/orders')).body).toEqual([order]);
    expect(second.said()).not.toMatch(/initialising|starting/);
    expect(serverPid()).toBe(server);
    await stop(second);
    expect(isAlive(server)).toBe(false);

    const third = start();
    expect((await ada.at(await third.ready()).get('/orders')).body).toEqual([order]);
  }, 60_000);

  it('that is killed with -9 has answered for the next one: the same key gets the same answer, and there is one order', async () => {
    const first = start();
    const ada = new OrdersClient(await first.ready());
    const asking = { key: 'k', body: { items: [{ sku: 'A-123', quantity: 1, unitPrice: 1999 }] } };
    const answer = await ada.post('/orders', asking);
    expect([answer.status, answer.replayed]).toEqual([201, false]);
    first.kill('SIGKILL');
    await first.ended;

    const second = ada.at(await start().ready());
    const again = await second.post('/orders', asking);
    expect([again.status, again.replayed, again.body]).toEqual([201, true, answer.body]);
    expect((await second.get('/orders')).body).toEqual([answer.body]);
  }, 60_000);

  it('recovers the data of a server that was killed, though its pid now belongs to somebody else', async () => {
    const first = start();
    const ada = new OrdersClient(await first.ready());
    const order = await ada.order();
    const leftover = readFileSync(pidFile(), 'utf8');
    const server = serverPid();
    first.kill('SIGKILL');
    process.kill(server, 'SIGKILL');
    await first.ended;
    await eventually(() => expect(isAlive(server)).toBe(false));
    // As after a crash of the machine: the pid is alive, and PostgreSQL by itself would refuse to start.
    writeFileSync(pidFile(), leftover.replace(String(server), String(process.pid)));

    const second = start();
    expect((await ada.at(await second.ready()).get('/orders')).body).toEqual([order]);
  }, 60_000);

  it('does not believe a lock or another app whose process is gone, or is a new one with that pid', async () => {
    const reused = { pid: process.pid, started: 'in another life' };
    mkdirSync(home('apps'), { recursive: true });
    writeFileSync(home('apps', String(process.pid)), JSON.stringify(reused));
    writeFileSync(home('apps', String(NOBODY)), '{"pid":'); // half written
    writeFileSync(home('lock'), JSON.stringify({ pid: NOBODY, started: '', id: 'left-behind' }));

    const app = start();
    await app.ready();
    expect(await stop(app)).toContain('PostgreSQL stopped');
  }, 30_000);

  it('puts its server on another port when somebody has taken the one it had', async () => {
    const port = await freePort();
    const thief = createServer().listen(port, '127.0.0.1');
    mkdirSync(home(), { recursive: true });
    writeFileSync(home('port'), String(port));
    const app = start();
    await app.ready();
    expect(Number(readFileSync(home('port'), 'utf8'))).not.toBe(port);
    thief.close();
  }, 30_000);

  const isRoot = process.getuid?.() === 0;
  const whenRoot = isRoot ? it : it.skip;
  if (!isRoot)
    console.warn('Skipped, because only root can have a folder that PostgreSQL’s user cannot reach.');
  whenRoot(
    'of root keeps its data in a temporary folder when PostgreSQL cannot reach theirs',
    async () => {
      const closed = join(dataDir, 'closed');
      mkdirSync(closed, { mode: 0o700 });
      const app = start({ DATA_DIR: join(closed, 'data') });
      await app.ready();
      const folder = await app.hears(/data in (\S+)/);
      expect(folder).toMatch(/nestjs-idempotent-[0-9a-f]{16}$/);
      expect(await stop(app)).toContain('PostgreSQL stopped');
      rmSync(folder, { recursive: true });
    },
    30_000,
  );

  it('lets running requests finish, and takes the echo of a Ctrl-C under npm for the same one', async () => {
    const app = start({ PLATFORM: 'fastify' }); // which by itself would wait 72 s more for the kept connection
    const ada = new OrdersClient(await app.ready());
    const password = readFileSync(home('password'), 'utf8').trim();
    const port = Number(readFileSync(home('port'), 'utf8'));
    const holder = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'orders' });
    await holder.connect();
    await holder.query('begin; lock table orders in access exclusive mode');
    const placing = ada.order();
    await eventually(async () => {
      const { rows } = await holder.query(
        `select from pg_locks where not granted and relation = 'orders'::regclass`,
      );
      expect(rows).toHaveLength(1);
    });
    app.kill('SIGINT');
    await app.hears(/Stopping/);
    app.kill('SIGINT');
    await expect(ada.get('/health')).rejects.toThrow(); // nothing new is taken
    await holder.query('commit');
    await holder.end();
    expect(await placing).toMatchObject({ status: 'pending', version: 1 });
    expect(await app.ended).toBe(0);
    expect(app.said()).toContain('PostgreSQL stopped');
  }, 30_000);

  it('that is stopped while it starts ends cleanly and leaves nothing running', async () => {
    const app = start();
    await app.hears(/initialising/);
    expect(await stop(app, 'SIGINT')).not.toContain('Ready');
    expect(existsSync(pidFile())).toBe(false);
  }, 30_000);

  it('under npm start gets the SIGTERM that npm gets', async () => {
    const npm = spawnOrders({ DATA_DIR: dataDir }, ['npm', 'start']);
    await npm.ready();
    const server = serverPid();
    expect(await stop(npm)).toMatch(/PostgreSQL stopped[^]*Payments stopped/);
    expect(isAlive(server)).toBe(false);
  }, 60_000);

  it.each([
    [{ PORT: 'abc' }, "PORT is 'abc'"],
    [{ PLATFORM: 'koa' }, "PLATFORM is 'koa'"],
    [{ IDEMPOTENCY_STORAGE: 'mysql' }, "IDEMPOTENCY_STORAGE is 'mysql'"],
    [{ DATABASE_URL: 'postgres://me:secret@127.0.0.1:1/shop' }, 'postgres://me:…@127.0.0.1:1/shop'],
  ])(
    'that cannot start says why in one sentence: %j',
    async (env, sentence) => {
      const app = start(env);
      expect(await app.ended).toBe(1);
      expect(app.said()).toContain('Cannot start: ');
      expect(app.said()).toContain(sentence);
      expect(app.said()).not.toMatch(/secret|\n +at /);
    },
    30_000,
  );

  it('whose port is taken names it, and stops its PostgreSQL again', async () => {
    const port = await freePort();
    const thief = createServer().listen(port, '127.0.0.1');
    const app = start({ PORT: String(port) });
    expect(await app.ended).toBe(1);
    expect(app.said()).toContain(
      `Cannot start: Port ${port} is taken. Start on another one: PORT=${port + 1}`,
    );
    expect(app.said()).toContain('PostgreSQL stopped');
    thief.close();
  }, 30_000);
});
