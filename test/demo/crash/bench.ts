import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { spawnOrders, type OrdersProcess } from '../../support/orders-process.js';
import { startPayments, type PaymentsService } from '../../support/payments-service.js';
import { Counts, type Tally } from './counts.js';
import type { Setting } from './options.js';
import type { Server } from './server.js';

/** Long enough for a slow machine to renew it in time, short enough to wait for after each crash. */
const LEASE = '2s';

/** A step of a dead run, its lease, and the message's lease and next try may all have to pass before all is done. */
const SETTLES_WITHIN_MS = 30_000;
const ASKS_EVERY_MS = 10;
/** Something may still be passed after the last answer has left and the last row is written. */
const AFTERWARDS_MS = 150;

/**
 * One database, one payment service and one mailbox, with one app on them: killed, started again, and kept for the next
 * customer as long as it lives. Messages of one customer are nobody else's here.
 */
export class Bench {
  private app: StartedApp | undefined;
  private plans = 0;

  private constructor(
    private readonly setting: Setting,
    private readonly url: string,
    private readonly database: DataSource,
    private readonly folder: string,
    readonly payments: PaymentsService,
    private readonly counts: Counts,
  ) {}

  /** Its first app is up. @param number of the lane that it is for */
  static async open(setting: Setting, server: Server, number: number): Promise<Bench> {
    const name = setting.transactional ? 'transactional' : 'plain';
    const url = await server.createDatabase(`${name}_${number}`);
    const type = setting.database;
    const database = await new DataSource({ type, url: url.replace(/^mariadb:/, 'mysql:') }).initialize();
    const folder = mkdtempSync(join(tmpdir(), 'crash-demo-'));
    const payments = await startPayments();
    const counts = new Counts(database, payments, join(folder, 'data', 'mail'));
    const bench = new Bench(setting, url, database, folder, payments, counts);
    await bench.appThatLives();
    return bench;
  }

  async close(): Promise<void> {
    await this.end();
    await this.payments.stop();
    await this.database.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The app, started when none is running: it dies at the point, counted from the next request on. */
  async appThatDiesAt(point: string): Promise<StartedApp> {
    // Whole at once: it is read at every point.
    const draft = `${this.plan}.new`;
    writeFileSync(draft, `${++this.plans} ${point}`);
    renameSync(draft, this.plan);
    writeFileSync(this.trace, '');
    return (this.app ??= await this.start());
  }

  /** The app, started when none is running, and nobody kills it. */
  appThatLives(): Promise<StartedApp> {
    return this.appThatDiesAt('');
  }

  /** Points that were passed since the app was last asked for, in order, each as `name#visit`. */
  async passed(): Promise<readonly string[]> {
    await sleep(AFTERWARDS_MS);
    return readFileSync(this.trace, 'utf8').split('\n').filter(Boolean);
  }

  /** The signal or code that ended the app, and `lived on` when nothing did within that time: then it is killed here. */
  async death(withinMs: number): Promise<string> {
    const app = await this.appOfNow();
    const timer = new AbortController();
    const late = sleep(withinMs, 'lived on', { signal: timer.signal }).catch(() => 'lived on');
    const end = await Promise.race([app.process.ended, late]);
    timer.abort();
    await this.end();
    return typeof end === 'number' ? `ended with ${end}` : end;
  }

  async end(): Promise<void> {
    const app = this.app;
    this.app = undefined;
    app?.process.kill('SIGKILL');
    await app?.process.ended;
  }

  /** Waits until everything that follows from what was answered is done: `true`. `false`: not in time, or the app is dead. */
  async settled(user: string): Promise<boolean> {
    const app = await this.appOfNow();
    for (const deadline = performance.now() + SETTLES_WITHIN_MS; ; await sleep(ASKS_EVERY_MS)) {
      if (app.hasEnded() || performance.now() > deadline) return false;
      if (await this.counts.areSettled(user)) return true;
    }
  }

  tally(user: string): Promise<Tally> {
    return this.counts.of(user);
  }

  /** What belongs to no order: a sentence for each. */
  strays(): Promise<readonly string[]> {
    return this.counts.strays();
  }

  /** As if somebody else had done it while no app was running. */
  async cancelOrders(user: string): Promise<void> {
    await this.database.query(
      `update orders set status = 'cancelled', version = version + 1 where user_id = '${user}'`,
    );
  }

  private async appOfNow(): Promise<StartedApp> {
    return this.app ?? (await this.appThatLives());
  }

  private async start(): Promise<StartedApp> {
    const app = spawnOrders({
      DATABASE_URL: this.url,
      PAYMENTS_URL: this.payments.url,
      DATA_DIR: join(this.folder, 'data'),
      TRANSACTIONAL: String(this.setting.transactional),
      LEASE,
      CRASH_AT: `@${this.plan}`,
      CRASH_TRACE: this.trace,
    });
    let ended = false;
    void app.ended.then(() => (ended = true));
    return { url: await app.ready(), process: app, hasEnded: () => ended };
  }

  private get plan(): string {
    return join(this.folder, 'plan');
  }

  private get trace(): string {
    return join(this.folder, 'trace');
  }
}

export interface StartedApp {
  readonly url: string;
  readonly process: OrdersProcess;
  hasEnded(): boolean;
}
