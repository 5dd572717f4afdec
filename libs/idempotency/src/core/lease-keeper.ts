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
  /**
   * `unconfirmed`: nobody may count on the lease any more, but it goes on being renewed, because perhaps nobody has taken
   * it over. `taken-over` and `max-run`: that was the last word. Each may be said more than once.
   */
  onLost(reason: LeaseLossReason): void;
}

export type LeaseLossReason = 'taken-over' | 'unconfirmed' | 'max-run';

/** Renewals start when a third of the lease is over: two more chances before it ends. */
const RENEW_AFTER = 1 / 3;
/** Leases a little younger go along, so that a busy process has one call per tick and not one per claim. */
const GOES_ALONG_AFTER = 1 / 6;
/** After a failed call: not at once, and often enough to use the time that is left. */
const RETRY_AFTER = 1 / 10;

/** Keeps all leases of a process with one timer and one storage call per tick. */
export class LeaseKeeper {
  /** With the time at which each is to be renewed. */
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

  add(lease: Lease): void {
    if (this.stopped) return;
    const dueAt = lease.confirmedUntil - lease.leaseMs * (1 - RENEW_AFTER);
    this.leases.set(lease, { dueAt });
    this.wakeAt(dueAt);
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

  private tick(): void {
    this.timer = undefined;
    const now = this.clock.monotonicMs();
    const due: Lease[] = [];
    let anyDue = false;
    let patienceMs = this.callTimeoutMs;
    for (const [lease, { dueAt }] of this.leases) {
      const ended = now >= lease.renewUntil;
      if (now >= lease.confirmedUntil) {
        if (ended) this.remove(lease);
        lease.onLost(ended ? 'max-run' : 'unconfirmed');
      }
      if (ended) continue;
      // A call that hangs must leave the shortest lease a second chance.
      patienceMs = Math.min(patienceMs, Math.ceil(lease.leaseMs * RENEW_AFTER));
      if (dueAt <= now) anyDue = true;
      if (dueAt - lease.leaseMs * (RENEW_AFTER - GOES_ALONG_AFTER) <= now) due.push(lease);
    }
    if (anyDue && !this.renewing) void this.renew(due, now, patienceMs);
    this.scheduleNext();
  }

  private scheduleNext(): void {
    const now = this.clock.monotonicMs();
    let next = Infinity;
    for (const [lease, { dueAt }] of this.leases) {
      const mayRenew = now < lease.renewUntil;
      if (mayRenew && !this.renewing) next = Math.min(next, dueAt);
      if (!mayRenew || now < lease.confirmedUntil) next = Math.min(next, lease.confirmedUntil);
    }
    this.wakeAt(next);
  }

  private wakeAt(at: number): void {
    if (at === Infinity || (this.timer !== undefined && this.timer.at <= at)) return;
    this.clearTimer();
    const ms = Math.max(0, at - this.clock.monotonicMs());
    this.timer = { handle: this.timers.set(ms, () => this.tick()), at };
  }

  private clearTimer(): void {
    if (this.timer !== undefined) this.timers.clear(this.timer.handle);
    this.timer = undefined;
  }

  /** Never rejects. */
  private async renew(due: readonly Lease[], sentAt: number, patienceMs: number): Promise<void> {
    this.renewing = true;
    const renewals = due.map(({ claim, leaseMs }) => ({ claim, leaseMs }));
    // Whenever it comes, an answer counts from when it was asked for.
    const call = promised(() => this.storage.renew(renewals)).then((outcomes) =>
      due.forEach((lease, index) => this.settle(lease, outcomes[index], sentAt)),
    );
    const answer = await within(this.timers, patienceMs, call);
    this.renewing = false;
    if (this.stopped) return;
    if (answer.kind !== 'answered') {
      const silence = () => new Error(`leases were not renewed within ${patienceMs} ms`);
      this.onFailure(answer.kind === 'failed' ? answer.error : silence());
      for (const lease of due) this.postpone(lease);
    }
    this.scheduleNext();
  }

  private settle(lease: Lease, outcome: OwnerOutcome | undefined, sentAt: number): void {
    const plan = this.leases.get(lease);
    if (plan === undefined) return;
    if (outcome === 'lease_lost') {
      this.remove(lease);
      lease.onLost('taken-over');
    } else if (outcome === 'applied') {
      lease.confirmedUntil = Math.max(lease.confirmedUntil, sentAt + lease.leaseMs);
      plan.dueAt = sentAt + lease.leaseMs * RENEW_AFTER;
    } else this.postpone(lease);
  }

  private postpone(lease: Lease): void {
    const plan = this.leases.get(lease);
    if (plan !== undefined) plan.dueAt = this.clock.monotonicMs() + lease.leaseMs * RETRY_AFTER;
  }
}
