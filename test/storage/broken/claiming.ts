import type { ClaimOutcome, ClaimRequest } from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage, type Row } from '../simple-storage.js';
import { broken, type BrokenStorage } from './broken-storage.js';

const COUNT = 'claim: attempts count up through releases and expired leases, and previous tells which it was';
const FRESH_RACE = 'claim: of 50 racers over two instances one wins, and the losers see its fingerprint';
const AGAIN = 'claim: the same owner token is claimed again with the same attempt, previous and steps';
const AGAIN_LATE = 'claim: the same owner token is claimed again after its lease ended, if nobody took over';
const OTHER_ENDED = 'claim: another fingerprint never claims a record whose lease ended';
const ABANDONED = 'lease: with takeOver false one that ran out is reported as abandoned and nothing changes';

export const brokenClaims: readonly BrokenStorage[] = [
  broken(
    'each instance has records of its own',
    [
      'claim: another instance sees a running claim, its fingerprint and what is left of its lease',
      FRESH_RACE,
    ],
    class extends SimpleStorage {
      override peer(): SimpleStorage {
        return new SimpleStorage(this.clock);
      }
    },
  ),
  broken(
    'what is left of a lease is told without the time that has passed',
    ['claim: another instance sees a running claim, its fingerprint and what is left of its lease'],
    class extends SimpleStorage {
      private readonly leases = new WeakMap<Row, number>();
      protected override startLease(row: Row, leaseMs: number): void {
        super.startLease(row, leaseMs);
        this.leases.set(row, leaseMs);
      }
      protected override running(row: Row): ClaimOutcome {
        return Object.assign(super.running(row), { leaseRemainingMs: this.leases.get(row) });
      }
    },
  ),
  broken(
    'the time is read once, at first use',
    ['claim: after a quiet time the lease counts from now', OTHER_ENDED, ABANDONED],
    class extends SimpleStorage {
      private first: number | undefined;
      protected override now(): number {
        return (this.first ??= super.now());
      }
    },
  ),
  broken(
    'leases count from an earlier moment, as `now()` in a transaction that has been open for long',
    ['claim: after a quiet time the lease counts from now'],
    class extends SimpleStorage {
      private begun: number | undefined;
      protected override startLease(row: Row, leaseMs: number): void {
        this.begun ??= this.now();
        super.startLease(row, leaseMs + this.begun - this.now());
      }
    },
  ),
  broken(
    'attempts are counted from 0',
    ['claim: the first claim of an id is attempt 1 and finds nothing', COUNT],
    class extends SimpleStorage {
      protected override insert(id: string, request: ClaimRequest): Row {
        return Object.assign(super.insert(id, request), { attempt: 0 });
      }
    },
  ),
  broken(
    'the same owner token is refused',
    [AGAIN, AGAIN_LATE],
    class extends SimpleStorage {
      protected override isAgain(): boolean {
        return false;
      }
    },
  ),
  broken(
    'the same owner token is refused once its lease ended',
    [AGAIN_LATE],
    class extends SimpleStorage {
      protected override isAgain(row: Row, request: ClaimRequest): boolean {
        return super.isAgain(row, request) && !this.leaseEnded(row);
      }
    },
  ),
  broken(
    'claiming again counts as another attempt',
    [AGAIN, AGAIN_LATE],
    class extends SimpleStorage {
      protected override claimAgain(row: Row, request: ClaimRequest): Row {
        row.attempt += 1;
        return super.claimAgain(row, request);
      }
    },
  ),
  broken(
    'claiming again finds an expired record',
    [AGAIN, AGAIN_LATE],
    class extends SimpleStorage {
      protected override claimAgain(row: Row, request: ClaimRequest): Row {
        row.previous = 'expired';
        return super.claimAgain(row, request);
      }
    },
  ),
  broken(
    'claiming again loses the steps',
    [AGAIN, 'steps: those of several attempts add up'],
    class extends SimpleStorage {
      protected override claimAgain(row: Row, request: ClaimRequest): Row {
        row.steps.clear();
        return super.claimAgain(row, request);
      }
    },
  ),
  broken(
    'claiming again leaves the old lease',
    ['claim: claiming again with the same owner token starts the lease anew'],
    class extends SimpleStorage {
      protected override claimAgain(row: Row): Row {
        return row;
      }
    },
  ),
  broken(
    'a past owner is claimed again over its successor',
    ['claim: a past owner is not claimed again once another claim took over'],
    class extends SimpleStorage {
      private readonly past = new Set<string | undefined>();
      protected override takeOver(row: Row, request: ClaimRequest): Row {
        this.past.add(row.owner);
        return super.takeOver(row, request);
      }
      protected override isAgain(row: Row, request: ClaimRequest): boolean {
        return super.isAgain(row, request) || this.past.has(request.ownerToken);
      }
    },
  ),
];
