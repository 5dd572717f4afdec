import { Backoff, promised, within } from '../core/bounded.js';
import type { Clock, Randomness, Timers } from '../core/ports.js';
import type { ClaimedMessage, OutboxTable } from '../typeorm/outbox/outbox-table.js';
import { named, type OutboxEvent } from './events.js';
import { Marks } from './marks.js';
import type { Publisher } from './publisher.js';
import type { RelayTerms } from './resolve-options.js';
import type { Slots } from './slots.js';

export interface BatchParts {
  readonly table: Pick<OutboxTable, 'delivered' | 'failed' | 'release'>;
  readonly publisher: Publisher;
  readonly slots: Slots;
  readonly terms: RelayTerms;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly randomness: Randomness;
  onEvent(event: OutboxEvent): void;
  /** The database has not done what was asked. */
  onDatabaseError(error: unknown): void;
}

/** What was claimed at once. */
export interface ClaimedBatch {
  readonly owner: string;
  readonly messages: readonly ClaimedMessage[];
  /** On this process's monotonic clock, counted from before the claim was asked for. */
  readonly leaseEndsAt: number;
}

/** What has become of the messages of one claim; `claimed` and none of the others: given back. */
export interface RelayRound {
  readonly claimed: number;
  readonly delivered: number;
  /** To be tried again. */
  readonly failed: number;
  /** Given up until somebody decides. */
  readonly dead: number;
}

const FIRST_PAUSE_MS = 50;
/** What an answer of the database is waited for at the end of a lease. */
const LAST_WAIT_MS = 1000;

/** The messages of one claim: those of one aggregate one after another, aggregates side by side. */
export class Batch {
  private readonly marks = new Marks((sequences) => this.mark(sequences));
  private delivered = 0;
  private failed = 0;
  private dead = 0;
  private isLeftOver = false;

  constructor(
    private readonly parts: BatchParts,
    private readonly claimed: ClaimedBatch,
    private readonly stopping: AbortSignal,
  ) {}

  /** Never rejects. */
  async run(): Promise<RelayRound> {
    const { parts, claimed } = this;
    const lanes = lanesOf(claimed.messages);
    await Promise.all(lanes.map((lane) => parts.slots.use(() => this.deliver(lane))));
    await this.marks.settled();
    // Where that fails the leases end by themselves, and the reason is known to the operator.
    if (this.isLeftOver) await this.insist(() => parts.table.release(claimed.owner)).catch(() => undefined);
    const { delivered, failed, dead } = this;
    return { claimed: claimed.messages.length, delivered, failed, dead };
  }

  private async deliver(lane: readonly ClaimedMessage[]): Promise<void> {
    for (const message of lane) {
      if (this.stopping.aborted || !this.hasTimeLeft()) {
        this.isLeftOver = true;
        return;
      }
      const outcome = await this.parts.publisher.publish(message);
      if (outcome.kind === 'failed') {
        // The failure ends the lease on the aggregate: what was sent before is to be marked while it is ours.
        await this.marks.settled();
        return this.fail(message, outcome);
      }
      this.delivered += 1;
      this.parts.onEvent({ type: 'delivered', message: named(message) });
      this.marks.add(message.sequence);
    }
  }

  /** For one whole try. Whoever claims next begins when the lease is over, by the server's clock and never before ours. */
  private hasTimeLeft(): boolean {
    const { clock, terms } = this.parts;
    return clock.monotonicMs() + terms.publishTimeoutMs <= this.claimed.leaseEndsAt;
  }

  private async fail(
    message: ClaimedMessage,
    { failure, error }: Extract<Awaited<ReturnType<Publisher['publish']>>, { kind: 'failed' }>,
  ): Promise<void> {
    const { owner } = this.claimed;
    const { table, onEvent } = this.parts;
    try {
      const { value: isOurs, tries } = await this.insist(() =>
        table.failed(owner, message.sequence, failure),
      );
      // An answer that was lost on the way looks like a lease that was.
      if (!isOurs && tries === 1) return onEvent({ type: 'lease-lost', count: 1 });
      if (failure.kind === 'dead') {
        this.dead += 1;
        return onEvent({ type: 'dead', message: named(message), error });
      }
      this.failed += 1;
      onEvent({ type: 'failed', message: named(message), error, retryInMs: failure.inMs });
    } catch {
      // The database could not be told: the lease ends by itself, and it is tried again then.
      this.failed += 1;
      onEvent({ type: 'failed', message: named(message), error });
    }
  }

  private async mark(sequences: readonly string[]): Promise<void> {
    const { table, onEvent } = this.parts;
    try {
      const { value: marked, tries } = await this.insist(() =>
        table.delivered(this.claimed.owner, sequences),
      );
      const lost = sequences.length - marked;
      if (lost > 0 && tries === 1) onEvent({ type: 'lease-lost', count: lost });
    } catch (error) {
      onEvent({ type: 'unmarked', count: sequences.length, error });
    }
  }

  /** Asks until there is an answer, as long as the lease lasts: then somebody else may have the messages. */
  private async insist<T>(call: () => Promise<T>): Promise<{ value: T; tries: number }> {
    const { clock, timers, randomness } = this.parts;
    const backoff = new Backoff(timers, randomness, FIRST_PAUSE_MS);
    for (let tries = 1; ; tries += 1) {
      const leftMs = this.claimed.leaseEndsAt - clock.monotonicMs();
      const answer = await within(timers, Math.max(leftMs, LAST_WAIT_MS), promised(call));
      if (answer.kind === 'answered') return { value: answer.value, tries };
      const error =
        answer.kind === 'failed' ? answer.error : new Error('the database did not answer within the lease');
      this.parts.onDatabaseError(error);
      if (this.stopping.aborted || clock.monotonicMs() >= this.claimed.leaseEndsAt) throw error;
      await backoff.pause();
    }
  }
}

/** What has to wait for one another. In the order of the oldest of each. */
function lanesOf(messages: readonly ClaimedMessage[]): readonly (readonly ClaimedMessage[])[] {
  const lanes: ClaimedMessage[][] = [];
  const ofAggregate = new Map<string, ClaimedMessage[]>();
  for (const message of messages) {
    const { aggregate } = message;
    const lane = aggregate === undefined ? undefined : ofAggregate.get(aggregate);
    if (lane !== undefined) {
      lane.push(message);
      continue;
    }
    const begun = [message];
    lanes.push(begun);
    if (aggregate !== undefined) ofAggregate.set(aggregate, begun);
  }
  return lanes;
}
