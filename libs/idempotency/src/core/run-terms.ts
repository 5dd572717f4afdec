import type { Codec } from './codec.js';
import type { IdempotencyEventType } from './engine-events.js';
import type {
  Claim,
  IdempotencyStorage,
  PreviousClaim,
  ReleaseOptions,
  Steps,
} from './idempotency-storage.js';
import type { LeaseKeeper } from './lease-keeper.js';
import type { LocalCaches, LocalCacheTerms } from './local-caches.js';
import type { Clock, Randomness } from './ports.js';
import type { Run } from './run.js';
import type { TimerScope } from './timer-scope.js';

/** What a run came to, for those who wait for it. Waiters only ever get recorded outcomes. */
export type RunEnd =
  /** `result`: as it was before the codec. */
  | { readonly kind: 'recorded'; readonly result: Uint8Array; readonly expiresAtMonotonicMs: number }
  /** Given up, or lost: whoever waits has to ask again. */
  | { readonly kind: 'ask again' };

/** What became of the outcome that was handed in, or of the wish to give up. */
export type CompleteOutcome = 'recorded' | 'superseded' | 'unrecorded';
export type CommitOutcome = 'recorded' | 'uncommitted';
export type ReleaseOutcome = 'released' | 'superseded' | 'unreleased';

export interface RunTools {
  readonly storage: IdempotencyStorage;
  readonly clock: Clock;
  readonly timers: TimerScope;
  readonly randomness: Randomness;
  readonly keeper: LeaseKeeper;
  readonly caches: LocalCaches;
  readonly emit: (type: IdempotencyEventType, run: Run, error?: unknown) => void;
}

export interface RunTerms {
  readonly claim: Claim;
  readonly fingerprint: string;
  readonly attempt: number;
  readonly previous: PreviousClaim;
  readonly steps: Steps;
  readonly leaseMs: number;
  readonly maxRunMs: number;
  readonly storageTimeoutMs: number;
  readonly sentAt: number;
  readonly operation: string;
  readonly codec?: Codec | undefined;
  readonly correlationId?: string | undefined;
  readonly localCache?: LocalCacheTerms | undefined;
  /** Told when the claim was given up, and how it is to be given up should it be claimed once more. */
  readonly released: (options: ReleaseOptions) => void;
}
