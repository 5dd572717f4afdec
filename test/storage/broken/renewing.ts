import type { OwnerOutcome, Renewal } from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage } from '../simple-storage.js';
import { broken, gap, type BrokenStorage } from './broken-storage.js';

const RENEW_MANY = 'renew: many claims in one call are answered in their order, lost ones among them';
const RENEW_BESIDE_COMPLETE = 'renew: a completion at the same moment holds up nobody else';
const RENEW_FROM_NOW = 'renew: the new lease counts from now, and nobody takes over meanwhile';

export const brokenRenewals: readonly BrokenStorage[] = [
  broken(
    'one lost lease fails the renewal of all',
    [RENEW_MANY, RENEW_BESIDE_COMPLETE],
    class extends SimpleStorage {
      override async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
        await gap();
        const outcomes = await super.renew(claims);
        return outcomes.includes('lease_lost') ? outcomes.map(() => 'lease_lost' as const) : outcomes;
      }
    },
  ),
  broken(
    'only the first of a list is renewed',
    [RENEW_MANY],
    class extends SimpleStorage {
      override async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
        await super.renew(claims.slice(0, 1));
        return claims.map(({ claim }) => (this.owned(claim, 'renew') ? 'applied' : 'lease_lost'));
      }
    },
  ),
  broken(
    'renewals are answered in the order of their ids',
    [RENEW_MANY],
    class extends SimpleStorage {
      override async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
        return super.renew(claims.toSorted((one, other) => (one.claim.id < other.claim.id ? -1 : 1)));
      }
    },
  ),
  broken(
    'a renewal without claims is an error',
    ['renew: nothing to renew is answered by nothing'],
    class extends SimpleStorage {
      override async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
        if (claims.length === 0) throw new Error('syntax error at or near ")"');
        return super.renew(claims);
      }
    },
  ),
  broken(
    'a renewed lease is added to the old one',
    [RENEW_FROM_NOW],
    class extends SimpleStorage {
      protected override renewOne({ claim, leaseMs }: Renewal): OwnerOutcome {
        const row = this.owned(claim, 'renew');
        return super.renewOne({ claim, leaseMs: row ? leaseMs + row.leaseUntil - this.now() : leaseMs });
      }
    },
  ),
  broken(
    'renew answers applied and does nothing',
    [RENEW_FROM_NOW, 'renew: an expired lease that nobody took over is renewed'],
    class extends SimpleStorage {
      protected override renewOne({ claim }: Renewal): OwnerOutcome {
        return this.owned(claim, 'renew') ? 'applied' : 'lease_lost';
      }
    },
  ),
  broken(
    'a renewal forgets keepMs',
    ['renew: a record outlives its renewed lease by keepMs'],
    class extends SimpleStorage {
      protected override renewOne(renewal: Renewal): OwnerOutcome {
        const outcome = super.renewOne(renewal);
        const row = this.owned(renewal.claim, 'renew');
        if (row) row.expiresAt = row.leaseUntil;
        return outcome;
      }
    },
  ),
];
