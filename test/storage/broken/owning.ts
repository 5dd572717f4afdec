import type {
  Claim,
  OwnerOutcome,
  ReleaseOptions,
} from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage, type OwnerCall, type Row } from '../simple-storage.js';
import { broken, type BrokenStorage } from './broken-storage.js';

const RENEW_MANY = 'renew: many claims in one call are answered in their order, lost ones among them';
const RENEW_COMPLETED = 'renew: a completed record keeps its result and its time';
const RENEW_GIVEN_UP = 'renew: a claim that was given up is not brought back to life';
const COMPLETE_GIVEN_UP = 'complete: a claim that was given up completes nothing';
const STEPS_ENDED = 'steps: a claim that was given up or completed saves nothing';

/** Whoever asks is the owner, for one kind of call. */
const unchecked = (open: OwnerCall) =>
  class extends SimpleStorage {
    protected override owns(row: Row, claim: Claim, call: OwnerCall): boolean {
      return call === open || super.owns(row, claim, call);
    }
  };

/** The time decides instead of the owner token, for one kind of call. */
const timed = (late: OwnerCall) =>
  class extends SimpleStorage {
    protected override owns(row: Row, claim: Claim, call: OwnerCall): boolean {
      return super.owns(row, claim, call) && (call !== late || !this.leaseEnded(row));
    }
  };

/** A missing record is made anew instead of being lost, for one kind of call. */
const reviving = (call: OwnerCall) =>
  class extends SimpleStorage {
    protected override owned(claim: Claim, asked: OwnerCall): Row | undefined {
      if (asked === call && this.live(claim.id) === undefined) {
        const { id, ownerToken } = claim;
        return this.insert(id, {
          ownerToken,
          fingerprint: 'fp',
          leaseMs: 1000,
          keepMs: 1000,
          takeOver: true,
        });
      }
      return super.owned(claim, asked);
    }
  };

/** A completed record takes changes, for one kind of call. */
const reopening = (call: OwnerCall, effect: (row: Row) => void = () => undefined) =>
  class extends SimpleStorage {
    protected override owned(claim: Claim, asked: OwnerCall): Row | undefined {
      const row = this.live(claim.id);
      if (asked !== call || row?.result === undefined || !this.owns(row, claim, asked))
        return super.owned(claim, asked);
      effect(row);
      return row;
    }
  };

export const brokenOwners: readonly BrokenStorage[] = [
  broken(
    'renew does not check the owner',
    ['renew: a past owner changes nothing', RENEW_MANY],
    unchecked('renew'),
  ),
  broken(
    'complete does not check the owner',
    ['complete: a past owner changes nothing'],
    unchecked('complete'),
  ),
  broken(
    'release does not check the owner',
    ['release: a past owner cannot release its successor'],
    unchecked('release'),
  ),
  broken(
    'saveStep does not check the owner',
    ['steps: a past owner saves nothing', STEPS_ENDED],
    unchecked('saveStep'),
  ),
  broken(
    'renew checks the time',
    ['renew: an expired lease that nobody took over is renewed'],
    timed('renew'),
  ),
  broken('complete checks the time', ['complete: the owner token decides, not the time'], timed('complete')),
  broken('release checks the time', ['release: the owner token decides, not the time'], timed('release')),
  broken('saveStep checks the time', ['steps: the owner token decides, not the time'], timed('saveStep')),
  broken('renew brings back a record that is gone', [RENEW_MANY], reviving('renew')),
  broken(
    'complete brings back a record that is gone',
    ['complete: a record that is gone is lost and does not come back'],
    reviving('complete'),
  ),
  broken(
    'release leaves a trace of a record that is gone',
    ['release: a record that is gone is lost and does not come back'],
    reviving('release'),
  ),
  broken(
    'saveStep brings back a record that is gone',
    ['steps: a record that is gone is lost and does not come back'],
    reviving('saveStep'),
  ),
  broken('renew changes how long a completed record is kept', [RENEW_COMPLETED], reopening('renew')),
  broken(
    'renew opens a completed record again',
    [RENEW_COMPLETED],
    reopening('renew', (row) => (row.result = undefined)),
  ),
  broken(
    'release removes a completed record',
    ['release: a completed record stays, also for its own owner'],
    reopening('release'),
  ),
  broken('saveStep adds to a completed record', [STEPS_ENDED], reopening('saveStep')),
  broken(
    'a completion forgets the fingerprint',
    ['complete: the fingerprint stays, so that a retry is still compared'],
    class extends SimpleStorage {
      override async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
        const outcome = await super.complete(claim, result, ttlMs);
        const row = this.live(claim.id);
        if (row && outcome === 'applied') row.fingerprint = '';
        return outcome;
      }
    },
  ),
  broken(
    'a second completion by the same owner is lost',
    ['complete: again by the same owner is applied again'],
    class extends SimpleStorage {
      protected override owned(claim: Claim, call: OwnerCall): Row | undefined {
        const row = super.owned(claim, call);
        return row?.result === undefined ? row : undefined;
      }
    },
  ),
  broken(
    'a claim that was given up still owns its record',
    [RENEW_GIVEN_UP, COMPLETE_GIVEN_UP, STEPS_ENDED],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        const { owner } = row;
        super.giveUp(row, options);
        row.owner = owner;
      }
    },
  ),
];
