import type {
  Claim,
  OwnerOutcome,
  ReleaseOptions,
} from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage, type Row } from '../simple-storage.js';
import { broken, type BrokenStorage } from './broken-storage.js';

const RETRY = 'release: a retry may run at once, as the next attempt and with the steps that were saved';
const COUNT = 'claim: attempts count up through releases and expired leases, and previous tells which it was';
const FORGET_NONE =
  'release: forgotten over nothing, the record is absent and another request may use the id';
const FORGET_RELEASED = 'release: forgotten over a released record, it is released again as it was';
const FORGET_EXPIRED = 'release: forgotten over an expired record, it is expired again as it was';

export const brokenReleases: readonly BrokenStorage[] = [
  broken(
    'a release leaves the lease as it was',
    [RETRY],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        const { leaseUntil } = row;
        super.giveUp(row, options);
        row.leaseUntil = leaseUntil;
      }
    },
  ),
  broken(
    'a release forgets the steps',
    [RETRY, FORGET_RELEASED, 'steps: those of several attempts add up'],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        super.giveUp(row, options);
        if (!options.forget) row.steps.clear();
      }
    },
  ),
  broken(
    'a release forgets the attempt',
    [RETRY, COUNT],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        super.giveUp(row, options);
        row.attempt = 0;
      }
    },
  ),
  broken(
    'a release removes the record, whatever `forget` says',
    [RETRY, FORGET_RELEASED],
    class extends SimpleStorage {
      protected override giveUp(row: Row): void {
        this.rows.delete(this.keyOf(row.id));
      }
    },
  ),
  broken(
    '`forget: true` is ignored',
    [FORGET_NONE, FORGET_RELEASED, FORGET_EXPIRED],
    class extends SimpleStorage {
      override release(claim: Claim): Promise<OwnerOutcome> {
        return super.release(claim, { forget: false });
      }
    },
  ),
  broken(
    'a forgotten claim removes what it found',
    [FORGET_RELEASED, FORGET_EXPIRED],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        super.giveUp(row, options);
        if (options.forget) this.rows.delete(this.keyOf(row.id));
      }
    },
  ),
  broken(
    'a forgotten claim still counts as an attempt',
    [FORGET_RELEASED, FORGET_EXPIRED],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        super.giveUp(row, options);
        if (options.forget) row.attempt += 1;
      }
    },
  ),
  broken(
    'a forgotten claim turns an expired record into a released one',
    [FORGET_EXPIRED],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        super.giveUp(row, options);
        row.released = true;
      }
    },
  ),
  broken(
    'a forgotten claim turns a released record into an expired one',
    [FORGET_RELEASED],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        super.giveUp(row, options);
        row.released = !options.forget;
      }
    },
  ),
  broken(
    'a forgotten claim leaves the steps that it saved',
    [FORGET_RELEASED, FORGET_EXPIRED],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        const { steps } = row;
        super.giveUp(row, options);
        row.steps = steps;
      }
    },
  ),
  broken(
    'a forgotten claim leaves an expired record that nobody owns',
    ['release: forgotten over an expired record, whoever held that one may still complete it'],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        super.giveUp(row, options);
        row.owner = undefined;
      }
    },
  ),
];
