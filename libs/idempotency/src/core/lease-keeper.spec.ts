import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../testing/fake-clock.js';
import type { OwnerOutcome, Renewal } from './idempotency-storage.js';
import { LeaseKeeper, type Lease, type LeaseLossReason } from './lease-keeper.js';
import { TimerScope } from './timer-scope.js';

const CALL_TIMEOUT_MS = 1000;

interface Call {
  readonly at: number;
  readonly ids: string[];
}

describe('LeaseKeeper', () => {
  let clock: FakeClock;
  let keeper: LeaseKeeper;
  let calls: Call[];
  let failures: string[];
  let answer: (renewals: readonly Renewal[]) => Promise<readonly OwnerOutcome[]>;
  let start: number;

  beforeEach(() => {
    clock = new FakeClock();
    start = clock.monotonicMs();
    calls = [];
    failures = [];
    answer = async (renewals) => renewals.map(() => 'applied');
    const storage = {
      renew: (renewals: readonly Renewal[]) => {
        calls.push({ at: clock.monotonicMs() - start, ids: renewals.map(({ claim }) => claim.id) });
        return answer(renewals);
      },
    };
    const onFailure = (error: unknown) => failures.push(String(error));
    keeper = new LeaseKeeper(storage, clock, new TimerScope(clock.timers), CALL_TIMEOUT_MS, onFailure);
  });

  const keep = (id: string, leaseMs: number, runMs = Infinity) => {
    const now = clock.monotonicMs();
    const lost: { reason: LeaseLossReason; at: number }[] = [];
    const lease: Lease & { lost: typeof lost } = {
      claim: { id, ownerToken: id },
      leaseMs,
      renewUntil: now + runMs,
      confirmedUntil: now + leaseMs,
      lost,
      onLost: (reason) => lost.push({ reason, at: clock.monotonicMs() - start }),
    };
    keeper.add(lease);
    return lease;
  };
  const silence = () => new Promise<never>(() => undefined);

  it('renews when a third of the lease is over', async () => {
    const lease = keep('a', 3000);
    await clock.advance(3500);
    expect(calls).toEqual([1000, 2000, 3000].map((at) => ({ at, ids: ['a'] })));
    expect(lease.confirmedUntil).toBe(start + 6000);
    expect(lease.lost).toEqual([]);
  });

  it('takes along the leases that are nearly due, and no others', async () => {
    keep('first', 3000);
    await clock.advance(400);
    keep('a little younger', 3000);
    await clock.advance(400);
    keep('much younger', 3000);
    await clock.advance(3000);
    expect(calls.slice(0, 2)).toEqual([
      { at: 1000, ids: ['first', 'a little younger'] },
      { at: 1800, ids: ['first', 'a little younger', 'much younger'] },
    ]);
    expect(calls.length).toBeLessThanOrEqual(4);
  });

  it('renews leases of different lengths each in its time', async () => {
    const lengths = [600, 3000, 60_000, 3_600_000];
    const leases = lengths.map((leaseMs) => keep(String(leaseMs), leaseMs));
    await clock.advance(120_000);
    lengths.forEach((leaseMs, index) => {
      const renewals = calls.filter(({ ids }) => ids.includes(String(leaseMs))).length;
      expect(renewals).toBeGreaterThanOrEqual(Math.floor(120_000 / (leaseMs / 3)) - 1);
      expect(renewals).toBeLessThanOrEqual(120_000 / (leaseMs / 6) + 1);
      expect(leases[index]?.lost).toEqual([]);
    });
  });

  it('tries again after a failure, and the lease is kept', async () => {
    let failing = 2;
    answer = async (renewals) => {
      if (failing-- > 0) throw new Error('down');
      return renewals.map(() => 'applied');
    };
    const lease = keep('a', 3000);
    await clock.advance(10_000);
    expect(calls.slice(0, 4).map(({ at }) => at)).toEqual([1000, 1300, 1600, 2600]);
    expect(lease.lost).toEqual([]);
    expect(failures).toEqual(['Error: down', 'Error: down']);
  });

  it('has one call under way at a time, tries again when it hangs, and does not pile them up', async () => {
    answer = silence;
    const lease = keep('a', 30_000);
    await clock.advance(30_000);
    expect(lease.lost).toEqual([{ reason: 'unconfirmed', at: 30_000 }]);
    const pauses = calls.map(({ at }, index) => at - (calls[index - 1]?.at ?? 0));
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(CALL_TIMEOUT_MS + 3000);
    expect(failures.length).toBeGreaterThanOrEqual(calls.length - 1);
  });

  it('does not let a call that hangs for a long lease take the chances of a short one', async () => {
    const short = keep('short', 900);
    keep('long', 1200);
    let hangs = true;
    answer = (renewals) => {
      const first = hangs;
      hangs = false;
      return first ? silence() : Promise.resolve(renewals.map(() => 'applied' as const));
    };
    await clock.advance(5000);
    expect(calls[1]?.at).toBeLessThanOrEqual(700);
    expect(short.lost).toEqual([]);
  });

  it('counts an answer from when it was asked for, also a late one', async () => {
    answer = (renewals) =>
      new Promise((resolve) => clock.timers.set(2500, () => resolve(renewals.map(() => 'applied' as const))));
    const lease = keep('a', 30_000);
    await clock.advance(12_400);
    expect(lease.confirmedUntil).toBe(start + 30_000);
    await clock.advance(100);
    expect(lease.confirmedUntil).toBe(start + 40_000);
    await clock.advance(120_000);
    expect(lease.lost).toEqual([]);
  });

  it('says that a lease is lost the moment another claim owns the record, and renews it no more', async () => {
    const lease = keep('a', 3000);
    const kept = keep('b', 3000);
    answer = async (renewals) => renewals.map(({ claim }) => (claim.id === 'a' ? 'lease_lost' : 'applied'));
    await clock.advance(10_000);
    expect(lease.lost).toEqual([{ reason: 'taken-over', at: 1000 }]);
    expect(kept.lost).toEqual([]);
    expect(calls.filter(({ ids }) => ids.includes('a'))).toHaveLength(1);
  });

  it('takes a missing answer for none', async () => {
    const lease = keep('a', 3000);
    answer = async () => [];
    await clock.advance(2999);
    expect(calls.length).toBeGreaterThan(3);
    expect(lease.lost).toEqual([]);
    await clock.advance(1);
    expect(lease.lost).toEqual([{ reason: 'unconfirmed', at: 3000 }]);
  });

  it('goes on renewing a lease that nobody could confirm', async () => {
    answer = () => Promise.reject(new Error('down'));
    const lease = keep('a', 3000);
    await clock.advance(10_000);
    expect(lease.lost[0]).toEqual({ reason: 'unconfirmed', at: 3000 });
    answer = async (renewals) => renewals.map(() => 'applied');
    await clock.advance(1000);
    const said = lease.lost.length;
    await clock.advance(10_000);
    expect(lease.lost).toHaveLength(said);
    expect(lease.confirmedUntil).toBeGreaterThan(clock.monotonicMs());
  });

  it('stops renewing when the time to run is over, and says so when the lease is', async () => {
    const lease = keep('a', 3000, 10_500);
    await clock.advance(60_000);
    expect(calls.at(-1)?.at).toBe(10_000);
    expect(lease.lost).toEqual([{ reason: 'max-run', at: 13_000 }]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('says so too when the lease was unconfirmed and a renewal hangs past the end', async () => {
    answer = silence;
    const lease = keep('a', 3000, 10_500);
    await clock.advance(60_000);
    expect(lease.lost.at(-1)?.reason).toBe('max-run');
    expect(clock.pendingTimers).toBe(0);
  });

  it('loses no lease to the clock of a long sleep that ends in time', async () => {
    const lease = keep('a', 60 * 86_400_000);
    await clock.advance(90 * 86_400_000);
    expect(calls).toHaveLength(4);
    expect(lease.lost).toEqual([]);
  });

  it('takes a lease that comes when a third of it is over already', async () => {
    const now = clock.monotonicMs();
    keeper.add({
      claim: { id: 'a', ownerToken: 'a' },
      leaseMs: 3000,
      renewUntil: Infinity,
      confirmedUntil: now + 500,
      onLost: () => undefined,
    });
    await clock.advance(0);
    expect(calls).toHaveLength(1);
  });

  it('forgets a lease without a word, also while it is being renewed, and then takes no timer', async () => {
    const lease = keep('a', 3000);
    let tell = (): void => undefined;
    answer = () => new Promise((resolve) => (tell = () => resolve(['lease_lost'])));
    await clock.advance(1000);
    keeper.remove(lease);
    tell();
    await clock.settle();
    expect(lease.lost).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('does nothing any more once it is stopped', async () => {
    const lease = keep('a', 3000);
    answer = silence;
    await clock.advance(1000);
    keeper.stop();
    keep('b', 3000);
    await clock.advance(60_000);
    expect(calls).toHaveLength(1);
    expect([lease.lost, failures]).toEqual([[], []]);
    expect(clock.pendingTimers).toBe(0);
  });
});
