import type {
  ClaimOutcome,
  ClaimRequest,
  ReleaseOptions,
} from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage, type Row } from '../simple-storage.js';
import { broken, gap, type BrokenStorage } from './broken-storage.js';

const RESULT_OVER = 'keeping: a result past its ttl is absent before it is purged';
const UNFINISHED_OVER = 'keeping: an unfinished record past its keeping time is absent before it is purged';
const KEEP = 'keeping: an unfinished record outlives its lease by keepMs';
const NEW_LIFE = 'keeping: a record past its keeping time starts a new life, with a new age';
const REPLAY = 'complete: the result is replayed on every instance, with what is left of its ttl';
const PURGE_ONLY = 'purge: removes only records past their keeping time';
const PURGE_LIMIT = 'purge: removes no more than its limit at a time, answers how many, and comes to an end';
const PURGE_TWO = 'purge: two instances purge at once';

/** Node's timers take 32 bits and fire at once when they overflow. */
const viaTimer = (ms: number) => (ms > 2 ** 31 - 1 ? 1 : ms);

/** What is left of a record past its keeping time gets into the next life of its id. */
const haunting = (haunt: (row: Row, dead: Row) => void) =>
  class extends SimpleStorage {
    protected override insert(id: string, request: ClaimRequest): Row {
      const dead = this.rows.get(this.keyOf(id));
      const row = super.insert(id, request);
      if (dead !== undefined) haunt(row, dead);
      return row;
    }
  };

const locked = new WeakSet<Map<string, Row>>();

export const brokenKeeping: readonly BrokenStorage[] = [
  broken(
    'a ttl overflows a 32-bit timer',
    ['keeping: a result is kept for a year when the ttl says so'],
    class extends SimpleStorage {
      protected override completedUntil(row: Row, ttlMs: number): number {
        return super.completedUntil(row, viaTimer(ttlMs));
      }
    },
  ),
  broken(
    'a long keepMs overflows a 32-bit timer',
    ['keeping: an unfinished record is kept for a year when keepMs says so'],
    class extends SimpleStorage {
      protected override startLease(row: Row, leaseMs: number): void {
        super.startLease(row, leaseMs);
        row.expiresAt = this.now() + viaTimer(leaseMs + row.keepMs);
      }
    },
  ),
  broken(
    'a ttl counts from the claim',
    ['keeping: the ttl counts from the completion, not from the claim'],
    class extends SimpleStorage {
      protected override completedUntil(row: Row, ttlMs: number): number {
        return row.createdAt + ttlMs;
      }
    },
  ),
  broken(
    'a completed record is kept as long as an unfinished one',
    [REPLAY, RESULT_OVER],
    class extends SimpleStorage {
      protected override completedUntil(row: Row): number {
        return row.expiresAt;
      }
    },
  ),
  broken(
    'a replay tells when the record expires instead of in how long',
    [REPLAY],
    class extends SimpleStorage {
      protected override replay(row: Row, result: Uint8Array): ClaimOutcome {
        return Object.assign(super.replay(row, result), { expiresInMs: row.expiresAt });
      }
    },
  ),
  broken(
    'results past their ttl are replayed until they are purged',
    [RESULT_OVER],
    class extends SimpleStorage {
      protected override isOver(row: Row): boolean {
        return row.result === undefined && super.isOver(row);
      }
    },
  ),
  broken(
    'unfinished records never end',
    [UNFINISHED_OVER, NEW_LIFE],
    class extends SimpleStorage {
      protected override isOver(row: Row): boolean {
        return row.result !== undefined && super.isOver(row);
      }
    },
  ),
  broken(
    'keepMs is ignored',
    [KEEP, 'lease: one that ran out is taken over with the next attempt and the kept steps'],
    class extends SimpleStorage {
      protected override startLease(row: Row, leaseMs: number): void {
        super.startLease(row, leaseMs);
        row.expiresAt = row.leaseUntil;
      }
    },
  ),
  broken(
    'keepMs counts from the claim instead of the end of the lease',
    [KEEP],
    class extends SimpleStorage {
      protected override startLease(row: Row, leaseMs: number): void {
        super.startLease(row, leaseMs);
        row.expiresAt = this.now() + row.keepMs;
      }
    },
  ),
  broken(
    'a release leaves the keeping time as it was',
    ['keeping: a released record stays for keepMs from its release'],
    class extends SimpleStorage {
      protected override giveUp(row: Row, options: ReleaseOptions): void {
        const { expiresAt } = row;
        super.giveUp(row, options);
        row.expiresAt = expiresAt;
      }
    },
  ),
  broken(
    'attempts go on counting after the keeping time',
    [RESULT_OVER, UNFINISHED_OVER],
    haunting((row, dead) => (row.attempt = dead.attempt + 1)),
  ),
  broken(
    'steps outlive their record',
    [RESULT_OVER, UNFINISHED_OVER],
    haunting((row, dead) => (row.steps = dead.steps)),
  ),
  broken(
    'a claim after the keeping time finds an expired record',
    [RESULT_OVER, UNFINISHED_OVER, NEW_LIFE],
    haunting((row) => (row.previous = 'expired')),
  ),
  broken(
    'the age counts on after the keeping time',
    [NEW_LIFE],
    haunting((row, dead) => (row.createdAt = dead.createdAt)),
  ),
  broken(
    'purge removes records whose lease has ended',
    [PURGE_ONLY],
    class extends SimpleStorage {
      override async purgeExpired(limit: number): Promise<number> {
        const ended = [...this.rows].filter(([, row]) => row.leaseUntil <= this.now()).slice(0, limit);
        for (const [key] of ended) this.rows.delete(key);
        return ended.length;
      }
    },
  ),
  broken(
    'purge removes live records',
    [PURGE_ONLY, PURGE_TWO],
    class extends SimpleStorage {
      override async purgeExpired(limit: number): Promise<number> {
        const keys = [...this.rows.keys()].slice(0, limit);
        for (const key of keys) this.rows.delete(key);
        return keys.length;
      }
    },
  ),
  broken(
    'purge ignores its limit',
    [PURGE_LIMIT],
    class extends SimpleStorage {
      override purgeExpired(): Promise<number> {
        return super.purgeExpired(Infinity);
      }
    },
  ),
  broken(
    'purge answers its limit instead of the count',
    [PURGE_LIMIT],
    class extends SimpleStorage {
      override async purgeExpired(limit: number): Promise<number> {
        await super.purgeExpired(limit);
        return limit;
      }
    },
  ),
  broken(
    'purge finds only some of the expired records',
    [PURGE_LIMIT],
    class extends SimpleStorage {
      override async purgeExpired(limit: number): Promise<number> {
        return this.rows.size > 4 ? super.purgeExpired(limit) : 0;
      }
    },
  ),
  broken(
    'two purges at once fail each other',
    [PURGE_TWO],
    class extends SimpleStorage {
      override async purgeExpired(limit: number): Promise<number> {
        if (locked.has(this.rows)) throw new Error('deadlock detected');
        locked.add(this.rows);
        await gap();
        locked.delete(this.rows);
        return super.purgeExpired(limit);
      }
    },
  ),
  broken(
    'waitForChange fails when nothing changed in time',
    ['waiting: waitForChange ends at the latest when its time is up, whether something changed or not'],
    class extends SimpleStorage {
      async waitForChange(): Promise<void> {
        throw new Error('timeout');
      }
    },
  ),
];
