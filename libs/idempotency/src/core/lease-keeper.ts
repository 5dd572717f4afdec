import { promised, within } from './bounded.js';
import type { Claim, IdempotencyStorage, OwnerOutcome } from './idempotency-storage.js';
import type { Clock, TimerHandle, Timers } from './ports.js';

/** A lease that is kept alive. Times are on this process's monotonic clock. */
export interface Lease {
  readonly claim: Claim;
  readonly leaseMs: number;
  /** Renewed no longer than until here (`maxRun`). */
  readonly renewUntil: number;
  /** Until when the storage has surely kept the lease: counted from before the call that was answered. */
  confirmedUntil: number;
  /** The lease is gone: another claim owns the record, or its time passed without an answer. Called at most once. */
  onLost(reason: LeaseLossReason): void;
}

export type LeaseLossReason = 'taken-over' | 'unconfirmed' | 'max-run';

/** Renewals start when a third of the lease is over: two more chances before it ends. */
const RENEW_AFTER = 1 / 3;
/** Leases a little younger go along, so that a busy process has one call per tick and not one per claim. */
const GOES_ALONG_AFTER = 1 / 6;
/** After a failed call: not at once, and often enough to use the time that is left. */
const RETRY_AFTER = 1 / 10;
const MAX_SLEEP_MS = 3_600_000;

/** Keeps all leases of a process with one timer and one storage call per tick. */
export class LeaseKeeper {
  private readonly leases = new Map<Lease, { dueAt: number }>();
  private timer: { handle: TimerHandle; at: number } | undefined;
  private renewing = false;
  private stopped = false;

  constructor(
    private readonly storage: Pick<IdempotencyStorage, 'renew'>,
    private readonly clock: Clock,
    private readonly timers: Timers,
    private readonly callTimeoutMs: number,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  get size(): number {
    return this.leases.size;
  }

  add(lease: Lease): void {
    if (this.stopped) return;
    const dueAt = lease.confirmedUntil - lease.leaseMs * (1 - RENEW_AFTER);
    this.leases.set(lease, { dueAt });
    this.wakeAt(Math.min(dueAt, lease.confirmedUntil));
  }

  /** Forgets a lease without a word: its run has ended. */
  remove(lease: Lease): void {
    this.leases.delete(lease);
    if (this.leases.size === 0) this.clearTimer();
  }

  stop(): void {
    this.stopped = true;
    this.leases.clear();
    this.clearTimer();
  }

  private wakeAt(at: number): void {
    if (this.timer !== undefined && this.timer.at <= at) return;
    this.clearTimer();
    const ms = Math.min(Math.max(0, at - this.clock.monotonicMs()), MAX_SLEEP_MS);
    this.timer = { handle: this.timers.set(ms, () => this.tick()), at };
  }

  private clearTimer(): void {
    if (this.timer !== undefined) this.timers.clear(this.timer.handle);
    this.timer = undefined;
  }

  private tick(): void {
    this.timer = undefined;
    const now = this.clock.monotonicMs();
    const due: Lease[] = [];
    let anyDue = false;
    for (const [lease, plan] of this.leases) {
      if (now >= lease.renewUntil) {
        if (now >= lease.confirmedUntil) this.lose(lease, 'max-run');
        continue;
      }
      // Not the end: nobody may have taken it over, and its outcome can still be stored. But nobody may count on it.
      if (now >= lease.confirmedUntil) lease.onLost('unconfirmed');
      if (plan.dueAt <= now) anyDue = true;
      if (plan.dueAt - lease.leaseMs * (RENEW_AFTER - GOES_ALONG_AFTER) <= now) due.push(lease);
    }
    if (anyDue && !this.renewing) void this.renew(due, now);
    this.scheduleNext();
  }

  private scheduleNext(): void {
    const now = this.clock.monotonicMs();
    let next = Infinity;
    for (const [lease, plan] of this.leases) {
      if (!this.renewing && now < lease.renewUntil) next = Math.min(next, plan.dueAt);
      if (lease.confirmedUntil > now) next = Math.min(next, lease.confirmedUntil);
    }
    if (next !== Infinity && !this.stopped) this.wakeAt(next);
  }

  /** Never rejects. */
  private async renew(due: readonly Lease[], sentAt: number): Promise<void> {
    this.renewing = true;
    const call = promised(() => this.storage.renew(due.map(({ claim, leaseMs }) => ({ claim, leaseMs }))));
    const answer = await within(this.timers, this.callTimeoutMs, call);
    this.renewing = false;
    if (answer.kind === 'answered')
      due.forEach((lease, index) => this.settle(lease, answer.value[index], sentAt));
    else {
      this.onFailure(
        answer.kind === 'failed'
          ? answer.error
          : new Error(`renewing leases took over ${this.callTimeoutMs} ms`),
      );
      for (const lease of due) this.postpone(lease);
    }
    this.scheduleNext();
  }

  private settle(lease: Lease, outcome: OwnerOutcome | undefined, sentAt: number): void {
    const plan = this.leases.get(lease);
    if (plan === undefined) return;
    if (outcome === 'lease_lost') return this.lose(lease, 'taken-over');
    if (outcome === undefined) return this.postpone(lease);
    lease.confirmedUntil = Math.max(lease.confirmedUntil, sentAt + lease.leaseMs);
    plan.dueAt = sentAt + lease.leaseMs * RENEW_AFTER;
  }

  private postpone(lease: Lease): void {
    const plan = this.leases.get(lease);
    if (plan !== undefined) plan.dueAt = this.clock.monotonicMs() + lease.leaseMs * RETRY_AFTER;
  }

  private lose(lease: Lease, reason: LeaseLossReason): void {
    this.remove(lease);
    lease.onLost(reason);
  }
}
