import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager, QueryRunner } from 'typeorm';
import { NoTransactionError } from '../nest/no-transaction.error.js';
import { afterCommitOf, transactionRunner } from '../typeorm/outbox/after-commit.js';
import type { NewOutboxMessage } from '../typeorm/outbox/message.js';
import type { DeadLetter, OutboxCounts } from '../typeorm/outbox/outbox-table.js';
import { rowOf } from './new-message.js';
import { OutboxRelay } from './outbox-relay.js';
import { OutboxRuntime } from './outbox-runtime.js';
import { OUTBOX_RUNTIME } from './tokens.js';

/** Where `Outbox.add()` is to write. */
export interface AddOptions {
  /** Of a transaction that is open. @default the transaction of the handler that runs */
  readonly manager?: EntityManager | QueryRunner | undefined;
}

const DEAD_LETTERS = 100;
/** One statement's worth. */
const PURGE_BATCH = 500;

/** Messages that are sent once what they tell of is committed, and only then. */
@Injectable()
export class Outbox {
  constructor(
    @Inject(OUTBOX_RUNTIME) private readonly runtime: OutboxRuntime,
    private readonly relay: OutboxRelay,
  ) {}

  /**
   * Adds messages in the transaction of the handler that runs (`transactional`), or in that of `manager`: they are sent if it
   * commits, and never if it does not. They are taken as they are now.
   *
   * @returns the id of the message, or those of the messages in their order
   * @throws NoTransactionError (`no-transaction`) in no transaction
   * @throws InvalidOptionsError (`invalid-options`) for a message that could not be sent; nothing is added then
   */
  add(message: NewOutboxMessage, options?: AddOptions): Promise<string>;
  add(messages: readonly NewOutboxMessage[], options?: AddOptions): Promise<string[]>;
  async add(
    given: NewOutboxMessage | readonly NewOutboxMessage[],
    { manager }: AddOptions = {},
  ): Promise<string | string[]> {
    const rows = messagesOf(given).map(rowOf);
    const { dataSource, table } = this.runtime.open;
    const runner = transactionRunner(dataSource, manager);
    if (runner === undefined) throw new NoTransactionError('outbox.add()');
    const ids = rows.map(({ id }) => id);
    if (rows.length > 0) {
      // First: once they are on their way they may be committed, whether or not anybody waits for them.
      afterCommitOf(dataSource, runner, () => this.relay.wake());
      await table.insert(runner, rows);
    }
    return isList(given) ? ids : (ids[0] as string);
  }

  /** How much is in the outbox. */
  counts(): Promise<OutboxCounts> {
    return this.table.counts();
  }

  /** How many messages of an aggregate are not delivered yet, dead letters among them. */
  undelivered(aggregate: string): Promise<number> {
    return this.table.undelivered(aggregate);
  }

  /** Messages that were given up, the oldest first. */
  deadLetters(limit = DEAD_LETTERS): Promise<readonly DeadLetter[]> {
    return this.table.deadLetters(limit);
  }

  /** Sends a dead letter after all: at once, in its old place, with all its tries. `false`: there is none of that id. */
  async redeliver(id: string): Promise<boolean> {
    return this.decided(await this.table.decide(id, 'redeliver'));
  }

  /** Leaves a dead letter out, so that what is behind it goes on. `false`: there is none of that id. */
  async discard(id: string): Promise<boolean> {
    return this.decided(await this.table.decide(id, 'discard'));
  }

  /** Removes delivered messages whose `keepDelivered` is over, in batches. Answers how many. */
  async purge(): Promise<number> {
    for (let total = 0; ;) {
      const removed = await this.table.purge(this.runtime.options.keepDeliveredMs, PURGE_BATCH);
      total += removed;
      if (removed < PURGE_BATCH) return total;
    }
  }

  private get table() {
    return this.runtime.open.table;
  }

  private decided(found: boolean): boolean {
    if (found) this.relay.wake();
    return found;
  }
}

type Given = NewOutboxMessage | readonly NewOutboxMessage[];

/** `Array.isArray` does not know lists that are read-only. */
function isList(given: Given): given is readonly NewOutboxMessage[] {
  return Array.isArray(given);
}

function messagesOf(given: Given): readonly NewOutboxMessage[] {
  return isList(given) ? given : [given];
}
