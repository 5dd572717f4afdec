import type {
  Claim,
  ClaimOutcome,
  ClaimRequest,
  OwnerOutcome,
  ReleaseOptions,
  Renewal,
} from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage } from '../simple-storage.js';
import { broken, gap, type BrokenStorage } from './broken-storage.js';

const RENEW_BESIDE_COMPLETE = 'renew: a completion at the same moment holds up nobody else';
const RENEW_BESIDE_TAKEOVER = 'renew: after a takeover at the same moment the record has one owner';
const FRESH_RACE = 'claim: of 50 racers over two instances one wins, and the losers see its fingerprint';
const TAKEOVER_RACE = 'lease: of 50 racers over one that ran out one wins, and the losers see it running';
const RELEASE_RACE = 'release: of 50 racers over a released record one wins, and the losers see it running';
const PAST_RACE =
  'keeping: of 50 racers over a record past its keeping time one wins, and the losers see it running';
const OTHER_RUNNING = 'claim: another fingerprint is told of the running one and changes nothing';

export const brokenRaces: readonly BrokenStorage[] = [
  broken(
    'claim of a fresh id reads, then writes',
    [FRESH_RACE, PAST_RACE],
    class extends SimpleStorage {
      override async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
        const absent = this.live(id) === undefined;
        await gap();
        return absent ? this.won(this.insert(id, request)) : super.claim(id, request);
      }
    },
  ),
  broken(
    'claim of an ended lease reads, then writes',
    [TAKEOVER_RACE, RELEASE_RACE],
    class extends SimpleStorage {
      override async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
        const row = this.live(id);
        const free = row !== undefined && row.result === undefined && this.leaseEnded(row);
        await gap();
        return free && this.sameRequest(row, request)
          ? this.won(this.takeOver(row, request))
          : super.claim(id, request);
      }
    },
  ),
  broken(
    'losers of a takeover see the row as it was before',
    [TAKEOVER_RACE, RELEASE_RACE],
    class extends SimpleStorage {
      override async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
        const row = this.live(id);
        const before = row && { ...row };
        await gap();
        const outcome = await super.claim(id, request);
        return outcome.kind === 'in_progress' && before !== undefined ? this.running(before) : outcome;
      }
    },
  ),
  broken(
    "losers of a fresh id see their own fingerprint instead of the winner's",
    [FRESH_RACE, PAST_RACE, OTHER_RUNNING],
    class extends SimpleStorage {
      override async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
        const outcome = await super.claim(id, request);
        return outcome.kind === 'in_progress' ? { ...outcome, fingerprint: request.fingerprint } : outcome;
      }
    },
  ),
  broken(
    'renew reads all, then writes all back',
    [RENEW_BESIDE_COMPLETE, RENEW_BESIDE_TAKEOVER],
    class extends SimpleStorage {
      override async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
        const outcomes = claims.map((renewal) => this.renewOne(renewal));
        const read = claims
          .map(({ claim }) => this.rows.get(this.keyOf(claim.id)))
          .map((row) => row && { ...row });
        await gap();
        for (const row of read) if (row !== undefined) this.rows.set(this.keyOf(row.id), row);
        return outcomes;
      }
      protected override renewOne({ claim }: Renewal): OwnerOutcome {
        return this.owned(claim, 'renew') === undefined ? 'lease_lost' : 'applied';
      }
    },
  ),
  broken(
    'complete reads, then writes',
    ['complete: against a takeover at the same moment exactly one wins'],
    class extends SimpleStorage {
      override async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
        const row = this.owned(claim, 'complete');
        if (row === undefined) return 'lease_lost';
        await gap();
        row.owner = claim.ownerToken;
        return super.complete(claim, result, ttlMs);
      }
    },
  ),
  broken(
    'release reads, then writes',
    ['release: against a takeover at the same moment the successor keeps the record'],
    class extends SimpleStorage {
      override async release(claim: Claim, options: ReleaseOptions): Promise<OwnerOutcome> {
        const row = this.owned(claim, 'release');
        if (row === undefined) return 'lease_lost';
        await gap();
        row.owner = claim.ownerToken;
        return super.release(claim, options);
      }
    },
  ),
  broken(
    'saveStep reads, then writes',
    ['steps: against a takeover at the same moment one is handed on or refused, never lost'],
    class extends SimpleStorage {
      override async saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome> {
        const row = this.owned(claim, 'saveStep');
        if (row === undefined) return 'lease_lost';
        await gap();
        this.putStep(row, name, this.taken(value));
        return 'applied';
      }
    },
  ),
  broken(
    'saveStep reads all steps, then writes all back',
    ['steps: saved at the same moment, all are kept'],
    class extends SimpleStorage {
      override async saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome> {
        const before = new Map(this.live(claim.id)?.steps);
        await gap();
        const row = this.owned(claim, 'saveStep');
        if (row === undefined) return 'lease_lost';
        row.steps = before.set(name, this.taken(value));
        return 'applied';
      }
    },
  ),
];
