import type { ClaimOutcome, ClaimRequest } from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage, type Row } from '../simple-storage.js';
import { broken, type BrokenStorage } from './broken-storage.js';

const COUNT = 'claim: attempts count up through releases and expired leases, and previous tells which it was';
const OTHER_RUNNING = 'claim: another fingerprint is told of the running one and changes nothing';
const OTHER_ENDED = 'claim: another fingerprint never claims a record whose lease ended';
const COMPLETED =
  'claim: a completed record is answered to every claim, with the fingerprint that it was made with';
const ABANDONED = 'lease: with takeOver false one that ran out is reported as abandoned and nothing changes';
const TAKEN_OVER = 'lease: one that ran out is taken over with the next attempt and the kept steps';

export const brokenTakeovers: readonly BrokenStorage[] = [
  broken(
    'another fingerprint overwrites that of the running record',
    [OTHER_RUNNING, OTHER_ENDED],
    class extends SimpleStorage {
      protected override sameRequest(row: Row, request: ClaimRequest): boolean {
        const same = super.sameRequest(row, request);
        row.fingerprint = request.fingerprint;
        return same;
      }
    },
  ),
  broken(
    'another fingerprint takes over',
    [OTHER_ENDED],
    class extends SimpleStorage {
      protected override sameRequest(): boolean {
        return true;
      }
    },
  ),
  broken(
    'another fingerprint is told `abandoned`',
    [OTHER_ENDED],
    class extends SimpleStorage {
      override async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
        const outcome = await super.claim(id, request);
        const hidden = outcome.kind === 'in_progress' && outcome.leaseRemainingMs === 0 && !request.takeOver;
        return hidden ? { kind: 'abandoned', fingerprint: outcome.fingerprint } : outcome;
      }
    },
  ),
  broken(
    'the owner claims its completed record again',
    [COMPLETED],
    class extends SimpleStorage {
      override async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
        const row = this.live(id);
        return row?.owner === request.ownerToken ? this.won(row) : super.claim(id, request);
      }
    },
  ),
  broken(
    'a completed record is hidden from another fingerprint',
    [COMPLETED, 'complete: the fingerprint stays, so that a retry is still compared'],
    class extends SimpleStorage {
      override async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
        const row = this.live(id);
        return row !== undefined && !this.sameRequest(row, request)
          ? this.running(row)
          : super.claim(id, request);
      }
    },
  ),
  broken(
    'every retry finds an expired record',
    [COUNT, 'lease: with takeOver false a released record is claimed as usual'],
    class extends SimpleStorage {
      protected override takeOver(row: Row, request: ClaimRequest): Row {
        return Object.assign(super.takeOver(row, request), { previous: 'expired' });
      }
    },
  ),
  broken(
    'a takeover is not counted as an attempt',
    [TAKEN_OVER, COUNT],
    class extends SimpleStorage {
      protected override takeOver(row: Row, request: ClaimRequest): Row {
        row.attempt -= 1;
        return super.takeOver(row, request);
      }
    },
  ),
  broken(
    'a takeover forgets the steps',
    [TAKEN_OVER, 'steps: those of several attempts add up'],
    class extends SimpleStorage {
      protected override takeOver(row: Row, request: ClaimRequest): Row {
        if (!row.released) row.steps.clear();
        return super.takeOver(row, request);
      }
    },
  ),
  broken(
    'a lease protects nobody',
    ['lease: one that runs is not taken over'],
    class extends SimpleStorage {
      protected override leaseEnded(): boolean {
        return true;
      }
    },
  ),
  broken(
    '`takeOver: false` is ignored',
    [ABANDONED],
    class extends SimpleStorage {
      protected override mayRun(): boolean {
        return true;
      }
    },
  ),
  broken(
    'an abandoned record is taken from its owner',
    [ABANDONED],
    class extends SimpleStorage {
      protected override mayRun(row: Row, request: ClaimRequest): boolean {
        const may = super.mayRun(row, request);
        if (!may) row.owner = undefined;
        return may;
      }
    },
  ),
  broken(
    '`takeOver: false` refuses released records too',
    ['lease: with takeOver false a released record is claimed as usual'],
    class extends SimpleStorage {
      protected override mayRun(_row: Row, request: ClaimRequest): boolean {
        return request.takeOver;
      }
    },
  ),
];
