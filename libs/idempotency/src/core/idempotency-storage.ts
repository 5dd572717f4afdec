import type { StorageTransactions } from './transaction.js';

/**
 * What a pluggable backend does, as a promise per line. `storageContract` in `nestjs-idempotent/testing` holds one
 * clause for each of these promises; any storage can be held to it under any test runner.
 *
 * Every method that changes a record is atomic and judges time by the **storage server's** clock: two app processes
 * never compare their own. Durations are milliseconds.
 */
export interface IdempotencyStorage {
  /** Shown in logs and boot errors, for example `redis`. */
  readonly name: string;

  /** `true` when other processes see the same records; a shared storage needs a `namespace`. */
  readonly shared: boolean;

  /** Connects, and checks that the storage is usable (table there, version right). Rejects with the mend when it is not. */
  start?(host?: StorageHost): Promise<void>;

  /** Gives back every connection and timer that the storage opened itself. */
  stop?(): Promise<void>;

  /**
   * Asks to run.
   *
   * - Of any number of racers exactly one gets `claimed`; every other sees the winner's fingerprint.
   * - The same `ownerToken` again, while it still owns the unfinished record, is `claimed` again with the same
   *   attempt, previous and steps, and its lease starts anew: an answer lost on the way can be asked for once more.
   * - A record whose lease has ended (`released` or `expired`) is claimed only by the same fingerprint; attempt rises
   *   by one, steps are kept. Another fingerprint gets `in_progress` with `leaseRemainingMs: 0`.
   * - With `takeOver: false` an **expired** lease of the same fingerprint is answered `abandoned` and nothing changes;
   *   a released one is claimed as usual.
   * - A record past its keeping time is absent, also before it is purged.
   */
  claim(id: string, request: ClaimRequest): Promise<ClaimOutcome>;

  /**
   * Extends leases, all in one call; answers are in the order of the claims.
   *
   * - The new lease counts from now, and the record outlives it by the same `keepMs` as before.
   * - The owner token decides, not the time: an expired lease that nobody took over is renewed.
   * - A completed record is never altered.
   * - A record that its own `complete` has locked at this moment counts as `applied`; it must not hold up the others.
   */
  renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]>;

  /**
   * Stores the result and ends the claim, only if `claim.ownerToken` still owns the record, however late it is.
   *
   * - Keeps the fingerprint. The record is kept for `ttlMs` from now.
   * - Again with the same owner token: `applied` (the answer to the first call may have been lost).
   * - `lease_lost`, never an error, when another claim owns the record or it is gone.
   */
  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome>;

  /**
   * Gives the claim up so that a retry may run.
   *
   * - `forget: false`: the lease ends; fingerprint, attempt and steps stay for `keepMs`. The owner token owns nothing
   *   any more: a renewal that was on the way does not bring the lease back.
   * - `forget: true`: this claim never happened. The record goes back to what the claim found: absent when it was
   *   `none`, released when it was `released`, expired when it was `expired`, with the attempt, steps and owner that
   *   were found (that owner may still complete it) and without steps of the forgotten claim.
   * - `lease_lost`, never an error, when another claim owns the record, it is completed, or it is gone.
   */
  release(claim: Claim, options: ReleaseOptions): Promise<OwnerOutcome>;

  /**
   * Keeps the result of a named step with the unfinished record; a name saved before is overwritten in its place. On a
   * completed record it is `lease_lost`, and nothing changes.
   *
   * Steps come back from `claim` in the order in which their names were first saved.
   */
  saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome>;

  /** The record as it is now, or `undefined` when there is none or its keeping time is over. */
  get(id: string): Promise<RecordView | undefined>;

  /** Removes the record whatever its state. `true` when there was one. */
  forget(id: string): Promise<boolean>;

  /** Walks over records without holding a lock; may miss records that change meanwhile, never yields one twice. */
  find(query: RecordQuery): AsyncIterable<RecordView>;

  /** Removes at most `limit` records whose keeping time is over; answers how many. Safe under many replicas. */
  purgeExpired(limit: number): Promise<number>;

  /** Resolves early when the record may have changed; at the latest after `timeoutMs`. Waiters poll when it is absent. */
  waitForChange?(id: string, timeoutMs: number): Promise<void>;

  /**
   * Transactions that a handler's writes and its record share; a sentence that says why not, and what to do instead, where
   * they cannot be had. Asked once, after `start`. Absent: this storage knows no transactions.
   */
  transactions?(): StorageTransactions | string;
}

/** What the framework around a storage lends it at start. */
export interface StorageHost {
  /** The application's only provider of that class, for example its TypeORM `DataSource`; `undefined` without one. */
  find<T>(type: abstract new (...args: never[]) => T): T | undefined;
  /** All of them, for example every DataSource. */
  findAll?<T>(type: abstract new (...args: never[]) => T): readonly T[];
  /** One line for the operator, about something that works but may hurt. */
  warn(message: string): void;
}

/** The handle of the winner: which record, and the secret that proves who holds the lease. */
export interface Claim {
  readonly id: string;
  readonly ownerToken: string;
}

/** What a claim brings along. */
export interface ClaimRequest {
  /** A UUID, made anew for every claim. */
  readonly ownerToken: string;
  /** Hash that says "the same request"; at most 255 bytes of printable ASCII, may be empty. */
  readonly fingerprint: string;
  readonly leaseMs: number;
  /** How long an unfinished record outlives its lease. */
  readonly keepMs: number;
  /** `false`: an expired lease is reported as `abandoned` instead of being taken over. */
  readonly takeOver: boolean;
}

/** Results of finished steps by name, in the order in which they were first saved. */
export type Steps = ReadonlyMap<string, Uint8Array>;

/** What the storage says to a claim. */
export type ClaimOutcome =
  | {
      readonly kind: 'claimed';
      /** Number of this run for this record, from 1. */
      readonly attempt: number;
      readonly steps: Steps;
      /** What the claim found: nothing, a record that was given up, or one whose lease ran out. */
      readonly previous: PreviousClaim;
    }
  | { readonly kind: 'in_progress'; readonly fingerprint: string; readonly leaseRemainingMs: number }
  | { readonly kind: 'abandoned'; readonly fingerprint: string }
  | {
      readonly kind: 'completed';
      readonly fingerprint: string;
      readonly result: Uint8Array;
      readonly expiresInMs: number;
    };

/** What a claim has found: no record, one whose lease was given up, or one whose lease ran out. */
export type PreviousClaim = 'none' | 'released' | 'expired';

/** A lease to be extended: by this much from now, by the clock of the server. */
export interface Renewal {
  readonly claim: Claim;
  readonly leaseMs: number;
}

/** Whether the caller still owned the record: `'lease_lost'` has changed nothing. */
export type OwnerOutcome = 'applied' | 'lease_lost';

/** With `forget` this claim never happened; without it fingerprint, attempt and steps stay. */
export interface ReleaseOptions {
  readonly forget: boolean;
}

/** `completed` holds a result; `in_progress` is running, released or expired. */
export type RecordState = 'in_progress' | 'completed';

/** A record as operators see it. Times are remaining milliseconds: no server date gets into the app's hands. */
export interface RecordView {
  readonly id: string;
  readonly state: RecordState;
  readonly fingerprint: string;
  readonly attempt: number;
  /** 0 for a lease that has ended and for completed records. */
  readonly leaseRemainingMs: number;
  /** `in_progress` only: the lease ended because its holder gave it up, not because it ran out. */
  readonly released: boolean;
  readonly expiresInMs: number;
  /** How long ago the record was first claimed; after its keeping time it starts anew. */
  readonly ageMs: number;
  readonly steps: Steps;
  /** Present when `state` is `completed`. */
  readonly result?: Uint8Array;
}

/** Which records `find` walks over. */
export interface RecordQuery {
  /** Ids that start with this text; '' is all. The text may hold any character, also the storage's own wildcards. */
  readonly idPrefix: string;
  readonly state?: RecordState;
  /** Only records first claimed at least this long ago. */
  readonly minAgeMs?: number;
}
