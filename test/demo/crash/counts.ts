import { readdirSync } from 'node:fs';
import type { DataSource } from 'typeorm';
import type { Charge, Entry } from '../../../apps/payments/src/ledger/entry.js';
import { decodeLine } from '../../../apps/payments/src/ledger/ledger-line.js';
import type { PaymentsService } from '../../support/payments-service.js';

/** What there is of one customer, as database, ledger and mailbox have it: nobody else is asked. */
export interface Tally {
  readonly orders: number;
  /** Those that were given back count, too. */
  readonly charges: number;
  readonly refunds: number;
  readonly emails: number;
  readonly stockMoves: number;
}

/** Counts where things are kept. */
export class Counts {
  /** @param mail the folder that has a file for each e-mail */
  constructor(
    private readonly database: DataSource,
    private readonly payments: PaymentsService,
    private readonly mail: string,
  ) {}

  async of(user: string): Promise<Tally> {
    const ids = await this.ordersOf(user);
    const moves = (await this.orderOfEachMove()).filter((id) => ids.has(id));
    const mails = this.orderOfEachMail().filter((id) => ids.has(id));
    return {
      orders: ids.size,
      ...movedIn(this.payments.ledger.read(), ids),
      emails: mails.length,
      stockMoves: moves.length,
    };
  }

  /** Whether no message is left to be delivered, and none of the user's orders is without what messages lead to. */
  async areSettled(user: string): Promise<boolean> {
    if ((await this.undelivered()) > 0) return false;
    const moved = new Set(await this.orderOfEachMove());
    const told = new Set(this.orderOfEachMail());
    return [...(await this.ordersOf(user))].every((id) => moved.has(id) && told.has(id));
  }

  async strays(): Promise<readonly string[]> {
    const ids = new Set((await this.rows('select id from orders')).map(({ id }) => String(id)));
    const charged = chargesIn(this.payments.ledger.read()).map(({ reference }) => reference);
    const without = (what: string, orders: readonly string[]) =>
      orders.filter((id) => !ids.has(id)).map((id) => `${what} without its order, ${id}`);
    return [
      ...without('a stock move', await this.orderOfEachMove()),
      ...without('a charge', charged),
      ...without('an e-mail', this.orderOfEachMail()),
    ];
  }

  private async ordersOf(user: string): Promise<ReadonlySet<string>> {
    const orders = await this.rows(`select id from orders where user_id = '${user}'`);
    return new Set(orders.map(({ id }) => String(id)));
  }

  private async orderOfEachMove(): Promise<readonly string[]> {
    return (await this.rows('select order_id from stock_moves')).map((move) => String(move['order_id']));
  }

  /** What is sent begins with the order's id; what is not begins with a dot. */
  private orderOfEachMail(): readonly string[] {
    const sent = readdirSync(this.mail).filter((name) => !name.startsWith('.'));
    return sent.map((name) => name.slice(0, name.indexOf('.')));
  }

  private async undelivered(): Promise<number> {
    const [row] = await this.rows('select count(*) as n from outbox_messages where delivered_at is null');
    return Number(row?.['n']);
  }

  private async rows(sql: string): Promise<Record<string, unknown>[]> {
    return this.database.query(sql);
  }
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
