import { InvalidOptionsError, StorageUnavailableError } from './errors.js';
import { ExpiryQueue } from './expiry-queue.js';
import type {
  Claim,
  ClaimOutcome,
  ClaimRequest,
  IdempotencyStorage,
  OwnerOutcome,
  RecordQuery,
  RecordView,
  ReleaseOptions,
  Renewal,
} from './idempotency-storage.js';
import {
  copyOf,
  copyOfSteps,
  givenUp,
  lease,
  newRun,
  NOTHING_FOUND,
  remaining,
  stateOf,
  undone,
  view,
  type MemoryRecord,
} from './memory-record.js';
import type { Clock } from './ports.js';

/** What a `MemoryStorage` that a test makes itself is given. */
export interface MemoryStorageOptions {
  readonly clock: Clock;
  /**
   * How many records are held at most.
   *
   * Past it new keys are refused: dropping a live record instead would let its operation run twice.
   *
   * @default 100_000
   */
  readonly maxRecords?: number;
}

/** More than one, so that memory falls without a timer while new records come. */
const EXPIRED_DROPPED_PER_NEW_RECORD = 2;

/** Records in this process's memory: for tests, for development, and for apps that run as one process. */
export class MemoryStorage implements IdempotencyStorage {
  readonly name = 'memory';
  readonly shared = false;
  private readonly records = new Map<string, MemoryRecord>();
  private readonly expiries = new ExpiryQueue();
  private readonly clock: Clock;
  private readonly maxRecords: number;

  constructor(options: MemoryStorageOptions) {
    this.clock = options.clock;
    this.maxRecords = options.maxRecords ?? 100_000;
    if (!Number.isSafeInteger(this.maxRecords) || this.maxRecords < 1) {
      throw new InvalidOptionsError(
        `memoryStorage: \`maxRecords\` is ${this.maxRecords}. It bounds the memory that records take: give a whole number of at least 1.`,
      );
    }
  }

  async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
    const now = this.now();
    const found = this.live(id, now);
    if (found?.result !== undefined) {
      return {
        kind: 'completed',
        fingerprint: found.fingerprint,
        result: copyOf(found.result),
        expiresInMs: remaining(found.expiresAt, now),
      };
    }
    if (found !== undefined) {
      const { fingerprint } = found;
      const again = found.ownerToken === request.ownerToken;
      const mayRun = fingerprint === request.fingerprint && (again || found.leaseUntil <= now);
      if (!mayRun) {
        return { kind: 'in_progress', fingerprint, leaseRemainingMs: remaining(found.leaseUntil, now) };
      }
      if (again) return this.claimed(this.put({ ...found, keepMs: request.keepMs, ...lease(request, now) }));
      if (!found.released && !request.takeOver) return { kind: 'abandoned', fingerprint };
    } else {
      this.makeRoom(id, now);
    }
    return this.claimed(this.put(newRun(id, request, found, now)));
  }

  async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
    const now = this.now();
    return claims.map(({ claim, leaseMs }) =>
      this.change(claim, now, (record) => ({ ...record, ...lease({ leaseMs, keepMs: record.keepMs }, now) })),
    );
  }

  async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    const now = this.now();
    const record = this.live(claim.id, now);
    if (record?.result !== undefined && record.ownerToken === claim.ownerToken) return 'applied';
    const outcome = { result: copyOf(result), found: NOTHING_FOUND, leaseUntil: now, expiresAt: now + ttlMs };
    return this.change(claim, now, (open) => ({ ...open, ...outcome }));
  }

  async release(claim: Claim, options: ReleaseOptions): Promise<OwnerOutcome> {
    const now = this.now();
    return this.change(claim, now, (record) => (options.forget ? undone(record, now) : givenUp(record, now)));
  }

  async saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome> {
    return this.change(claim, this.now(), (record) => {
      record.steps.set(name, copyOf(value));
      return record;
    });
  }

  async get(id: string): Promise<RecordView | undefined> {
    const now = this.now();
    const record = this.live(id, now);
    return record && view(record, now);
  }

  async forget(id: string): Promise<boolean> {
    const existed = this.live(id, this.now()) !== undefined;
    this.drop(id);
    return existed;
  }

  async *find(query: RecordQuery): AsyncIterable<RecordView> {
    // The ids as they are now: a record that is forgotten and claimed anew meanwhile would come a second time.
    for (const id of [...this.records.keys()]) {
      if (!id.startsWith(query.idPrefix)) continue;
      const now = this.now();
      const record = this.live(id, now);
      if (record === undefined) continue;
      if (query.state !== undefined && query.state !== stateOf(record)) continue;
      if (now - record.firstClaimedAt < (query.minAgeMs ?? 0)) continue;
      yield view(record, now);
    }
  }

  async purgeExpired(limit: number): Promise<number> {
    return this.dropExpired(limit, this.now());
  }

  private now(): number {
    return this.clock.monotonicMs();
  }

  private live(id: string, now: number): MemoryRecord | undefined {
    const record = this.records.get(id);
    return record !== undefined && record.expiresAt > now ? record : undefined;
  }

  /** The owner token decides, not the time. A change to `undefined` removes the record. */
  private change(
    claim: Claim,
    now: number,
    update: (record: MemoryRecord) => MemoryRecord | undefined,
  ): OwnerOutcome {
    const record = this.live(claim.id, now);
    if (record === undefined || record.result !== undefined || record.ownerToken !== claim.ownerToken)
      return 'lease_lost';
    const changed = update(record);
    if (changed === undefined) this.drop(claim.id);
    else this.put(changed);
    return 'applied';
  }

  private claimed({ attempt, steps, previous }: MemoryRecord): ClaimOutcome {
    return { kind: 'claimed', attempt, steps: copyOfSteps(steps), previous };
  }

  private put(record: MemoryRecord): MemoryRecord {
    this.records.set(record.id, record);
    this.expiries.set(record.id, record.expiresAt);
    return record;
  }

  private drop(id: string): void {
    this.records.delete(id);
    this.expiries.delete(id);
  }

  private dropExpired(limit: number, now: number): number {
    for (let dropped = 0; dropped < limit; dropped += 1) {
      const id = this.expiries.due(now);
      if (id === undefined) return dropped;
      this.drop(id);
    }
    return limit;
  }

  private makeRoom(id: string, now: number): void {
    this.drop(id);
    this.dropExpired(EXPIRED_DROPPED_PER_NEW_RECORD, now);
    if (this.records.size < this.maxRecords) return;
    throw new StorageUnavailableError(
      `memoryStorage holds ${this.records.size} live records, as many as \`maxRecords\` allows, so a new key cannot be protected. ` +
        'Raise `maxRecords`, shorten `ttl`, or use redisStorage or typeOrmStorage.',
    );
  }
}
