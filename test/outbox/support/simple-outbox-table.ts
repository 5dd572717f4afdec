import type { Clock } from '../../../libs/idempotency/src/core/ports.js';
import type {
  ClaimedMessage,
  ClaimRequest,
  Failure,
  OutboxTable,
} from '../../../libs/idempotency/src/typeorm/outbox/outbox-table.js';

interface Row {
  readonly sequence: number;
  readonly aggregate: string | undefined;
  state: 'waiting' | 'delivered' | 'dead';
  attempts: number;
  owner: string | undefined;
  leaseUntil: number;
  dueAt: number;
}

/** As much of the table as a relay asks for, over the clock of a test: what is claimed, in what order, and by whom. */
export class SimpleOutboxTable implements Pick<
  OutboxTable,
  'claim' | 'delivered' | 'failed' | 'release' | 'nextDueMs'
> {
  readonly rows: Row[] = [];
  /** What was asked, in order. */
  readonly calls: string[] = [];
  /** Asked before each call: throws, or holds it. */
  before: (call: string) => Promise<void> | void = () => undefined;
  /** Asked when a call is done, before its answer goes out. */
  after: (call: string) => Promise<void> | void = () => undefined;

  constructor(private readonly clock: Clock) {}

  add(count = 1, aggregate?: string): void {
    for (let more = 0; more < count; more += 1)
      this.rows.push({
        sequence: this.rows.length + 1,
        aggregate,
        state: 'waiting',
        attempts: 0,
        owner: undefined,
        leaseUntil: 0,
        dueAt: 0,
      });
  }

  states(): string[] {
    return this.rows.map(({ state }) => state);
  }

  count(call: string): number {
    return this.calls.filter((one) => one === call).length;
  }

  claim({ owner, limit, perAggregate, leaseMs }: ClaimRequest): Promise<readonly ClaimedMessage[]> {
    return this.asked('claim', () => {
      const now = this.clock.monotonicMs();
      const taken: Row[] = [];
      const seen = new Set<string>();
      for (const row of this.rows) {
        if (row.state === 'delivered' || taken.length >= limit) continue;
        const isHead = row.aggregate === undefined || !seen.has(row.aggregate);
        if (row.aggregate !== undefined) seen.add(row.aggregate);
        if (!isHead || !isFree(row, now)) continue;
        const behind = this.rows.filter(
          (one) => row.aggregate !== undefined && one.aggregate === row.aggregate && one.state === 'waiting',
        );
        taken.push(...(row.aggregate === undefined ? [row] : behind.slice(0, perAggregate)));
      }
      const kept = taken.slice(0, limit).sort((one, other) => one.sequence - other.sequence);
      for (const row of kept) Object.assign(row, { owner, leaseUntil: now + leaseMs });
      return kept.map(messageOf);
    });
  }

  delivered(owner: string, sequences: readonly string[]): Promise<number> {
    return this.asked('delivered', () => {
      const own = this.rows.filter((row) => row.owner === owner && sequences.includes(String(row.sequence)));
      for (const row of own) Object.assign(row, { state: 'delivered', owner: undefined });
      return own.length;
    });
  }

  failed(owner: string, sequence: string, failure: Failure): Promise<boolean> {
    return this.asked('failed', () => {
      const failed = this.rows.find((row) => row.owner === owner && String(row.sequence) === sequence);
      if (failed === undefined) return false;
      failed.attempts += 1;
      if (failure.kind === 'dead') failed.state = 'dead';
      else failed.dueAt = this.clock.monotonicMs() + failure.inMs;
      for (const row of this.rows) {
        const isWithIt = failed.aggregate !== undefined && row.aggregate === failed.aggregate;
        if (row === failed || (isWithIt && row.owner === owner)) free(row);
      }
      return true;
    });
  }

  release(owner: string): Promise<void> {
    return this.asked('release', () => {
      for (const row of this.rows) if (row.owner === owner) free(row);
    });
  }

  nextDueMs(): Promise<number | undefined> {
    return this.asked('nextDueMs', () => {
      const now = this.clock.monotonicMs();
      const waits = this.rows
        .filter(({ state }) => state === 'waiting')
        .map(({ dueAt, leaseUntil }) => Math.max(0, dueAt - now, leaseUntil - now));
      return waits.length === 0 ? undefined : Math.min(...waits);
    });
  }

  private async asked<T>(call: string, answer: () => T): Promise<T> {
    this.calls.push(call);
    await this.before(call);
    const given = answer();
    await this.after(call);
    return given;
  }
}

function isFree({ state, dueAt, leaseUntil }: Row, now: number): boolean {
  return state === 'waiting' && dueAt <= now && leaseUntil <= now;
}

function free(row: Row): void {
  Object.assign(row, { owner: undefined, leaseUntil: 0 });
}

function messageOf({ sequence, aggregate, attempts }: Row): ClaimedMessage {
  return {
    id: `m${sequence}`,
    sequence: String(sequence),
    pattern: 'orders.placed',
    payload: { number: sequence },
    aggregate,
    correlationId: 'c',
    headers: {},
    addedAt: new Date(0),
    attempt: attempts + 1,
  };
}
