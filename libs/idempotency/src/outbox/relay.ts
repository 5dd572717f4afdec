import { AsyncResource } from 'node:async_hooks';
import { Backoff, Deferred, promised, within } from '../core/bounded.js';
import { inWords } from '../core/duration.js';
import { StorageUnavailableError } from '../core/errors.js';
import { untilAborted } from '../core/until-aborted.js';
import type { OutboxTable } from '../typeorm/outbox/outbox-table.js';
import { Batch, type BatchParts, type ClaimedBatch, type RelayRound } from './batch.js';
import { Publisher, type PublisherParts } from './publisher.js';
import { Slots } from './slots.js';

export interface RelayParts extends Omit<BatchParts, 'table' | 'publisher' | 'slots' | 'onDatabaseError'> {
  readonly table: Pick<OutboxTable, 'claim' | 'delivered' | 'failed' | 'release' | 'nextDueMs'>;
  readonly publish: PublisherParts['publish'];
}

/** More often than this nobody looks again for what somebody else has in hand at this moment. */
const SHORTEST_PAUSE_MS = 100;
/** Up to this a poll finds what is due soon enough without asking for its time. */
const SHORT_POLL_MS = 1000;
/** Before the second question to a database that is away; doubled up to 2 s. */
const FIRST_PAUSE_MS = 250;
/** What Node's timers can count; past it they fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** What a stop waits for the database, beside what is being published. */
const STOP_PATIENCE_MS = 5000;

/**
 * Takes messages from the table and publishes them, for as long as it runs. A claim is asked for whenever somebody would have time
 * to publish, so that one that hangs holds up nobody but its aggregate.
 */
export class Relay {
  private readonly slots: Slots;
  private readonly publisher: Publisher;
  private readonly perAggregate: number;
  /** Where it was made, which is in nobody's request: whoever wakes it is in one. */
  private readonly home = new AsyncResource('OutboxRelay');
  private readonly batches = new Set<Promise<RelayRound>>();
  private stopping = new AbortController();
  private loop: Promise<void> | undefined;
  private woken = new Deferred<void>();
  private isAway = false;

  constructor(private readonly parts: RelayParts) {
    const { terms } = parts;
    this.slots = new Slots(terms.concurrency);
    this.publisher = new Publisher(parts);
    this.perAggregate = Math.ceil(terms.batchSize / terms.concurrency);
  }

  start(): void {
    const isStopping = this.stopping.signal.aborted;
    if (this.loop !== undefined && !isStopping) return;
    if (isStopping) this.stopping = new AbortController();
    const { signal } = this.stopping;
    const before = this.loop;
    this.loop = this.home.runInAsyncScope(async () => {
      if (before !== undefined) await before;
      await this.run(signal);
    });
  }

  /** Begins nothing any more, waits for what is being published, and gives back the rest. Never rejects. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake();
    // The loop may be about to begin a batch, which gives back what it has claimed.
    const { loop } = this;
    const over = Promise.allSettled([loop]).then(() => Promise.allSettled(this.batches));
    await within(this.parts.timers, this.parts.terms.publishTimeoutMs + STOP_PATIENCE_MS, over);
    if (this.loop === loop) this.loop = undefined;
  }

  /** Something may be there. */
  wake(): void {
    this.woken.resolve();
  }

  /** @throws StorageUnavailableError */
  async runOnce(): Promise<RelayRound> {
    const { signal } = this.stopping;
    return this.home.runInAsyncScope(async () => {
      const nothing = { claimed: 0, delivered: 0, failed: 0, dead: 0 };
      if (signal.aborted) return nothing;
      const batch = await this.claim();
      return batch === undefined ? nothing : this.begin(batch, signal);
    });
  }

  /** Never rejects. */
  private async run(signal: AbortSignal): Promise<void> {
    const { timers, randomness } = this.parts;
    const backoff = new Backoff(timers, randomness, FIRST_PAUSE_MS);
    while (!signal.aborted) {
      await this.slots.vacant();
      if (signal.aborted) return;
      // Whoever wakes from now on may have committed after the claim has looked.
      this.woken = new Deferred();
      try {
        const batch = await this.claim();
        backoff.reset();
        // A batch that has ended may have left more of its aggregates, or something that is due soon.
        if (batch !== undefined) void this.begin(batch, signal).then(() => this.wake());
        else await this.pause(await this.idleMs(), signal);
      } catch (error) {
        this.away(error);
        // Nobody but a stop cuts this short: those who write must not have a database asked more often that is away.
        await untilAborted(signal, backoff.pause());
      }
    }
  }

  private async claim(): Promise<ClaimedBatch | undefined> {
    const { table, terms, clock, timers, randomness } = this.parts;
    const { batchSize: limit, leaseMs } = terms;
    const owner = randomness.uuid();
    const leaseEndsAt = clock.monotonicMs() + leaseMs;
    const call = promised(() => table.claim({ owner, limit, perAggregate: this.perAggregate, leaseMs }));
    // An answer that leaves no time to publish is of no use.
    const answer = await within(timers, leaseMs - terms.publishTimeoutMs, call);
    if (answer.kind === 'failed') throw answer.error;
    if (answer.kind === 'timeout') {
      void call.then((messages) => this.giveBack(owner, messages.length)).catch(() => undefined);
      const ms = inWords(leaseMs - terms.publishTimeoutMs);
      throw new StorageUnavailableError(`The database did not answer within ${ms} what is to be sent.`);
    }
    this.back();
    const messages = answer.value;
    return messages.length === 0 ? undefined : { owner, messages, leaseEndsAt };
  }

  private begin(batch: ClaimedBatch, signal: AbortSignal): Promise<RelayRound> {
    const { slots, publisher } = this;
    const onDatabaseError = (error: unknown) => this.away(error);
    const parts = { ...this.parts, slots, publisher, onDatabaseError };
    const round = new Batch(parts, batch, signal).run();
    this.batches.add(round);
    return round.finally(() => this.batches.delete(round));
  }

  private async giveBack(owner: string, count: number): Promise<void> {
    if (count > 0) await this.parts.table.release(owner);
  }

  /** Until the next look, if nobody wakes us. */
  private async idleMs(): Promise<number> {
    const { table, terms, timers } = this.parts;
    const { pollEveryMs } = terms;
    if (pollEveryMs <= SHORT_POLL_MS) return pollEveryMs;
    const answer = await within(
      timers,
      terms.publishTimeoutMs,
      promised(() => table.nextDueMs()),
    );
    if (answer.kind === 'failed') throw answer.error;
    const dueMs = answer.kind === 'answered' ? answer.value : undefined;
    return Math.min(pollEveryMs, Math.max(dueMs ?? Infinity, SHORTEST_PAUSE_MS), LONGEST_TIMER_MS);
  }

  private async pause(ms: number, signal: AbortSignal): Promise<void> {
    const { timers } = this.parts;
    if (signal.aborted) return;
    const over = new Deferred<void>();
    const timer = timers.set(ms, over.resolve);
    await Promise.race([over.promise, this.woken.promise]);
    timers.clear(timer);
  }

  private away(error: unknown): void {
    if (this.isAway) return;
    this.isAway = true;
    this.parts.onEvent({ type: 'database-away', error });
  }

  private back(): void {
    if (!this.isAway) return;
    this.isAway = false;
    this.parts.onEvent({ type: 'database-back' });
  }
}
