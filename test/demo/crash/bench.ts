import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import type { Charge, Entry } from '../../../apps/payments/src/ledger/entry.js';
import { decodeLine } from '../../../apps/payments/src/ledger/ledger-line.js';
import { startMariaDb } from '../../support/mariadb-server.js';
import { spawnOrders, type OrdersProcess } from '../../support/orders-process.js';
import { startPayments, type PaymentsService } from '../../support/payments-service.js';
import { startPostgres } from '../../support/postgres-server.js';
import type { DatabaseName, Setting } from './options.js';

/** Long enough for a slow machine to renew it in time, short enough to wait for after each crash. */
const LEASE = '2s';

/** What there is of one customer, as the database and the ledger have it: nobody else is asked. */
export interface Tally {
  readonly orders: number;
  /** Those that were given back count, too. */
  readonly charges: number;
  readonly refunds: number;
  readonly stockMoves: number;
}

/** A database server, which outlives every app. */
export interface Server {
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

/** One database and one payment service, on which apps are started, killed and started again. */
export class Bench {
  private constructor(
    readonly setting: Setting,
    private readonly url: string,
    private readonly database: DataSource,
    private readonly folder: string,
    readonly payments: PaymentsService,
  ) {}

  static async open(setting: Setting, server: Server): Promise<Bench> {
    const url = await server.createDatabase(setting.transactional ? 'transactional' : 'plain');
    const type = setting.database;
    const database = await new DataSource({ type, url: url.replace(/^mariadb:/, 'mysql:') }).initialize();
    const folder = mkdtempSync(join(tmpdir(), 'crash-demo-'));
    return new Bench(setting, url, database, folder, await startPayments());
  }

  async close(): Promise<void> {
    await this.payments.stop();
    await this.database.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Resolves when it is ready. @param env beside the setting's own: CRASH_AT, CRASH_TRACE, PAYMENTS_URL */
  async startApp(env: Readonly<Record<string, string>> = {}): Promise<StartedApp> {
    const app = spawnOrders({
      DATABASE_URL: this.url,
      PAYMENTS_URL: this.payments.url,
      DATA_DIR: join(this.folder, 'data'),
      TRANSACTIONAL: String(this.setting.transactional),
      LEASE,
      ...env,
    });
    return { url: await app.ready(), process: app };
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** @param payments the service that was asked to charge */
  async tally(user: string, { ledger } = this.payments): Promise<Tally> {
    const orders = await this.rows(`select id from orders where user_id = '${user}'`);
    const ids = new Set(orders.map(({ id }) => String(id)));
    const moves = await this.rows(
      `select m.order_id from stock_moves m join orders o on o.id = m.order_id where o.user_id = '${user}'`,
    );
    return { orders: ids.size, ...movedIn(ledger.read(), ids), stockMoves: moves.length };
  }

  /** As if somebody else had done it while no app was running. */
  async cancelOrders(user: string): Promise<void> {
    await this.database.query(
      `update orders set status = 'cancelled', version = version + 1 where user_id = '${user}'`,
    );
  }

  /** What belongs to no order: a sentence for each kind of which there is any. */
  async strays(): Promise<string[]> {
    const ids = new Set((await this.rows('select id from orders')).map(({ id }) => String(id)));
    const moves = await this.rows('select order_id from stock_moves');
    const strayMoves = moves.filter((move) => !ids.has(String(move['order_id'])));
    const references = chargesIn(this.payments.ledger.read()).map(({ reference }) => reference);
    const strayCharges = references.filter((reference) => !ids.has(reference));
    return [
      ...strayMoves.map((move) => `a stock move without its order, ${String(move['order_id'])}`),
      ...strayCharges.map((reference) => `a charge without its order, ${reference}`),
    ];
  }

  private async rows(sql: string): Promise<Record<string, unknown>[]> {
    return this.database.query(sql);
  }
}

export interface StartedApp {
  readonly url: string;
  readonly process: OrdersProcess;
}

/** @param ledger the file of the payment service as it is on the disk */
function movedIn(ledger: string, orders: ReadonlySet<string>): Pick<Tally, 'charges' | 'refunds'> {
  const charges = chargesIn(ledger).filter(({ reference }) => orders.has(reference));
  const ids = new Set(charges.map(({ id }) => id));
  const refunds = entriesOf(ledger).filter(({ refund }) => refund && ids.has(refund.charge));
  return { charges: charges.length, refunds: refunds.length };
}

const chargesIn = (ledger: string): readonly Charge[] =>
  entriesOf(ledger).flatMap(({ charge }) => charge ?? []);

const entriesOf = (ledger: string): readonly Entry[] =>
  ledger.split('\n').flatMap((line) => decodeLine(line) ?? []);
