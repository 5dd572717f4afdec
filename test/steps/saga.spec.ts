import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateIdempotencyRecords1795305600000 } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { send, type Received } from '../http/support/requests.js';
import { startChildApp, type ChildApp } from '../support/child-app.js';
import { startPostgres } from '../support/postgres-server.js';
import { startRedis } from '../support/redis-server.js';
import { Ledger } from './support/ledger.js';

interface Server {
  readonly env: Record<string, string>;
  readonly stop: () => Promise<void>;
}

const servers: Readonly<Record<string, () => Promise<Server>>> = {
  async PostgreSQL() {
    const server = await startPostgres();
    const { url } = await server.createDatabase('saga');
    // Before the processes: TypeORM's very first migration must not run in two at once.
    const migrations = [CreateIdempotencyRecords1795305600000];
    const dataSource = new DataSource({ type: 'postgres', url, migrations, migrationsRun: true });
    await (await dataSource.initialize()).destroy();
    return { env: { DATABASE_URL: url }, stop: () => server.stop() };
  },
  async Redis() {
    const server = await startRedis();
    return { env: { REDIS_URL: server.url }, stop: () => server.stop() };
  },
};

const DONE = ['charge', 'reserve', 'book', 'undo book', 'undo reserve', 'undo charge'];
const DECIDED = 'after saveStep "\\u0000undoing"';

describe.each(Object.keys(servers))(
  'A saga of four steps whose last one is refused for good, on %s',
  (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'idempotency-saga-'));
    let server: Server | undefined;
    let apps: readonly ChildApp[] = [];

    beforeAll(async () => {
      const { env } = (server = (await servers[name]?.())!);
      const start = () => startChildApp('test/steps/support/saga-process.ts', { ...env, LEDGER: folder });
      apps = await Promise.all([start(), start()]);
    }, 120_000);
    afterAll(async () => {
      for (const app of apps) await app.stop();
      await server?.stop();
      rmSync(folder, { recursive: true });
    });

    const order = (app: ChildApp | undefined, key: string, haltAt?: string): Promise<Received> => {
      mkdirSync(join(folder, key), { recursive: true });
      return send(app!, '/orders', {
        key,
        ...(haltAt === undefined ? {} : { headers: { 'x-halt-at': haltAt } }),
      });
    };
    const ledgerOf = (key: string) => new Ledger(join(folder, key));

    /** Sends until the lease of the killed process is over. */
    async function retry(app: ChildApp | undefined, key: string): Promise<Received> {
      for (;;) {
        const answer = await order(app, key);
        if (answer.status !== 409) return answer;
        await sleep(200);
      }
    }

    it('is not gone on with by a process that stood still while another took over', async () => {
      const [stopped, survivor] = apps;
      const first = order(stopped, 'stopped', 'stopped after saveStep "charge"');
      while (ledgerOf('stopped').done.length === 0) await sleep(50);

      const successor = await retry(survivor, 'stopped');
      stopped?.signal('SIGCONT');
      const late = await first;

      expect([successor.status, successor.json]).toEqual([422, { reason: 'limit', attempt: 2 }]);
      expect([late.status, late.json.code, late.headers.get('idempotency-status')]).toEqual([
        409,
        'key-in-progress',
        'superseded',
      ]);
      expect(ledgerOf('stopped').calls).toEqual(DONE);
    }, 60_000);

    it('undoes three, newest first, each once, wherever its process is killed', async () => {
      const [victim, survivor] = apps;
      const refused = await order(survivor, 'undisturbed', 'nowhere');
      expect([refused.status, refused.json]).toEqual([422, { reason: 'limit', attempt: 1 }]);
      expect(ledgerOf('undisturbed').done).toEqual(DONE);
      const points = ledgerOf('undisturbed').lines('points');
      expect(new Set(points).size).toBe(points.length);
      expect(points).toContain(DECIDED);

      // Each stands still at its own point, and one kill falls into all of them.
      const keyed = points.map((point, index) => ({ point, index, key: `order-${index}` }));
      const cut = keyed.map(({ key, point }) =>
        expect(order(victim, key, point)).rejects.toThrow('fetch failed'),
      );
      while ((await send(victim!, '/halted', { method: 'GET' })).json !== points.length) await sleep(50);
      victim?.signal('SIGKILL');
      await once(victim!.process, 'exit');
      await Promise.all(cut);

      const answers = await Promise.all(keyed.map(({ key }) => retry(survivor, key)));

      for (const { point, index, key } of keyed) {
        const { done, calls } = ledgerOf(key);
        const again = await order(survivor, key);
        // What one attempt has decided stands, also when the next one would say something else.
        const attempt = index >= points.indexOf(DECIDED) ? 1 : 2;
        const once = calls.filter((call, at) => calls.indexOf(call) === at);
        expect({
          point,
          done,
          asked: once,
          status: answers[index]?.status,
          json: answers[index]?.json,
        }).toEqual({
          point,
          done: DONE,
          asked: DONE,
          status: 422,
          json: { reason: 'limit', attempt },
        });
        // A kill between an effect and its mark: it is asked for again, under the same key, and does not happen again.
        const fellBetween = /^(after the effect|before saveStep)/.test(point) && !point.includes('undoing');
        expect({ point, twice: calls.length - once.length }).toEqual({ point, twice: fellBetween ? 1 : 0 });
        expect([again.text, again.headers.get('idempotent-replayed')]).toEqual([
          answers[index]?.text,
          'true',
        ]);
      }
    }, 60_000);
  },
);
