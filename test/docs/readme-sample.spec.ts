import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readConfig } from '../../apps/orders/src/config/read-config.js';
import { startOrdersApp, type OrdersApp } from '../support/orders-app.js';
import { startPayments, type PaymentsService } from '../support/payments-service.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';
import { page } from './support/markdown.js';

/** `curl -i [-X POST] $shop<path> -H "$ada" [-H "Idempotency-Key: <key>"] [--json '<body>'] # <status> <what>` */
const COMMAND =
  /^curl -i (?<post>-X POST )?\$shop(?<path>\S+) -H "\$ada"(?: -H "Idempotency-Key: (?<key>[^"]+)")?(?: --json '(?<body>[^']+)')? # (?<status>\d+) (?<what>.+)$/;

const lines =
  page('README.md')
    .blocks.find(({ code }) => code.includes('/payments'))
    ?.code.trim()
    .split('\n') ?? [];

describe('the commands of the README for the sample', () => {
  let servers: readonly [PostgresServer, PaymentsService];
  let orders: OrdersApp;
  beforeAll(async () => {
    servers = await Promise.all([startPostgres(), startPayments()]);
    const { url: databaseUrl } = await servers[0].createDatabase('readme');
    orders = await startOrdersApp({ platform: 'express', databaseUrl, paymentsUrl: servers[1].url });
  }, 30_000);
  afterAll(async () => {
    await orders.close();
    await Promise.all(servers.map((server) => server.stop()));
  });

  it('answer what the comments behind them say', async () => {
    const variables: Record<string, string> = {};
    const fill = (text: string) =>
      text.replace(/\$(id|token)/g, (_all, name: string) => variables[name] ?? '');
    const commands = lines.filter((line) => line.startsWith('curl'));
    expect(commands.length).toBeGreaterThan(10);
    for (const line of commands) {
      const { post, path = '', key, body, status, what = '' } = COMMAND.exec(line)?.groups ?? {};
      const response = await fetch(orders.url + fill(path), {
        method: post || body ? 'POST' : 'GET',
        headers: {
          'x-user-id': 'ada',
          ...(key && { 'idempotency-key': fill(key) }),
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body }),
      });
      const answer = (await response.json()) as Record<string, string>;
      const replayed = response.headers.get('idempotent-replayed') === 'true';
      expect([line, String(response.status)]).toEqual([line, status]);
      expect([line, replayed]).toEqual([line, what === 'replayed']);
      if (what.startsWith('{')) expect([line, answer]).toEqual([line, expect.objectContaining(told(what))]);
      else if (!replayed) expect([line, answer['code']]).toEqual([line, what]);
      for (const name of ['id', 'token']) variables[name] = answer[name] ?? variables[name] ?? '';
    }
  }, 30_000);
});

/** A value that ends in … may go on. */
function told(json: string): object {
  const values = Object.entries(JSON.parse(json) as object).map(([name, value]) => [
    name,
    typeof value === 'string' && value.endsWith('…') ? expect.stringContaining(value.slice(0, -1)) : value,
  ]);
  return Object.fromEntries(values) as object;
}

describe('the variables of the README for the sample', () => {
  const rows = page('README.md').lines.flatMap((line) => {
    const match = /^\| `([A-Z_]+)` +\| (.+?) +\|/.exec(line);
    return match ? [[match[1]!, match[2]!] as const] : [];
  });

  it('are those that the app reads, with its defaults', () => {
    const read = new Set<string>();
    const env = new Proxy({}, { get: (_target, name) => void read.add(String(name)) });
    const { port, platform, storage, transactional, redisUrl, dataDir } = readConfig(env, '/checkout');
    expect(new Set(rows.map(([name]) => name))).toEqual(read);
    expect(Object.fromEntries(rows)).toMatchObject({
      PORT: `\`${port}\``,
      PLATFORM: `\`${platform}\``,
      IDEMPOTENCY_STORAGE: `\`${storage}\``,
      TRANSACTIONAL: `\`${transactional}\``,
      REDIS_URL: `\`${redisUrl}\``,
      DATA_DIR: `\`${dataDir.replace('/checkout/', '')}\``,
    });
  });
});
