import { setTimeout as sleep } from 'node:timers/promises';
import { RecordUnreadableError, StorageUnavailableError } from '../core/errors.js';
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
  StorageHost,
} from '../core/idempotency-storage.js';
import type { StorageTransactions } from '../core/transaction.js';
import { claimOutcome, recordView, type Row } from './rows.js';
import { openSession, type Session } from './session.js';
import { stepEntry } from './step-log.js';
import { resolveOptions, type TypeOrmStorageOptions } from './storage-options.js';

/** Records in the application's own database, over a few connections of the storage's own. */
export function typeOrmStorage(options: TypeOrmStorageOptions = {}): IdempotencyStorage {
  const resolved = resolveOptions(options);
  return new TypeOrmStorage((host) => openSession(resolved, host));
}

/** Before each question about a row that others are changing: they need a moment, and not all the same one. */
const CLAIM_PAUSES_MS = [0, 1, 2, 4, 8, 16];
const LONGEST_CLAIM_PAUSE_MS = 32;
/**
 * How long a claim asks about a record of which nothing can be told: whoever removes one past its keeping time has it
 * locked until the statement ends, on a busy server for longer than a few questions take. Less than half of what
 * `storageTimeout` is by default: the engine asks twice within it, so that the reason still reaches the operator.
 */
const CLAIM_WAIT_MS = 400;
const RENEW_PAUSES_MS = [0, 5, 20];

export class TypeOrmStorage implements IdempotencyStorage {
  readonly name = 'typeorm';
  readonly shared = true;
  private session: Promise<Session> | undefined;
  private opened: Session | undefined;

  constructor(private readonly open: (host: StorageHost | undefined) => Promise<Session>) {}

  async start(host?: StorageHost): Promise<void> {
    this.session ??= this.open(host);
    try {
      this.opened = await this.session;
    } catch (error) {
      this.session = undefined;
      throw error;
    }
  }

  async stop(): Promise<void> {
    const { session } = this;
    this.session = undefined;
    this.opened = undefined;
    await (await session?.catch(() => undefined))?.close();
  }

  async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
    const { records } = await this.started();
    const start = performance.now();
    for (const pause of CLAIM_PAUSES_MS) {
      await pauseFor(pause);
      const row = await records.claim(id, request);
      if (row !== undefined && row['claimable'] !== true) return this.answer(row, id, request);
    }
    do {
      await pauseFor(LONGEST_CLAIM_PAUSE_MS);
      const row = await records.claim(id, request);
      // Locked all the time: its owner's transaction is about to end, or stands still. Nobody can take over meanwhile.
      const isLive = Number(row?.['expires_s']) > 0;
      if (row !== undefined && (row['claimable'] !== true || isLive)) return this.answer(row, id, request);
    } while (performance.now() - start < CLAIM_WAIT_MS);
    throw new StorageUnavailableError(
      `typeOrmStorage: another transaction holds the record and does not end. Look for it in ${records.locksShownIn}.`,
    );
  }

  async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
    const outcomes = claims.map((): OwnerOutcome => 'lease_lost');
    if (claims.length === 0) return outcomes;
    const { records } = await this.started();
    let open = claims.map((renewal, place) => ({ ...renewal, place }));
    for (const pause of RENEW_PAUSES_MS) {
      if (open.length === 0) break;
      await pauseFor(pause);
      const answers = await records.renew(open);
      open.forEach(({ place }, index) => {
        outcomes[place] = answers[index]?.owned === true ? 'applied' : 'lease_lost';
      });
      // Locked: by its own commit, or by a takeover that the database cannot show yet.
      open = open.filter((_, index) => answers[index]?.owned === true && !answers[index].settled);
    }
    return outcomes;
  }

  async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    return outcome(await (await this.started()).records.complete(claim, result, ttlMs));
  }

  async release(claim: Claim, { forget }: ReleaseOptions): Promise<OwnerOutcome> {
    const { records } = await this.started();
    return outcome(await (forget ? records.undoClaim(claim) : records.release(claim)));
  }

  async saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome> {
    return outcome(await (await this.started()).records.saveStep(claim, stepEntry(name, value)));
  }

  async get(id: string): Promise<RecordView | undefined> {
    const row = await (await this.started()).records.get(id);
    return row && recordView(row);
  }

  async forget(id: string): Promise<boolean> {
    return (await this.started()).records.forget(id);
  }

  async *find(query: RecordQuery): AsyncIterable<RecordView> {
    const session = await this.started();
    let unreadable = 0;
    for await (const row of session.records.find(query)) {
      const record = readableView(row);
      if (record === undefined) unreadable += 1;
      else yield record;
    }
    if (unreadable > 0) {
      session.warn(
        `typeOrmStorage: ${unreadable} record(s) were left out of a search because they cannot be read.`,
      );
    }
  }

  async purgeExpired(limit: number): Promise<number> {
    return (await this.started()).records.purge(limit);
  }

  transactions(): StorageTransactions | string {
    return this.opened?.transactions ?? 'It is not started, or stopped already.';
  }

  private started(): Promise<Session> {
    if (this.session !== undefined) return this.session;
    throw new StorageUnavailableError('typeOrmStorage is not started, or stopped already.');
  }

  private async answer(row: Row, id: string, request: ClaimRequest): Promise<ClaimOutcome> {
    try {
      return claimOutcome(row, request);
    } catch (error) {
      // It was claimed before anybody could see that it cannot be read.
      if (error instanceof RecordUnreadableError && row['won'] === true)
        await this.release({ id, ownerToken: request.ownerToken }, { forget: true }).catch(() => undefined);
      throw error;
    }
  }
}

function outcome(applied: boolean): OwnerOutcome {
  return applied ? 'applied' : 'lease_lost';
}

async function pauseFor(ms: number): Promise<void> {
  if (ms > 0) await sleep(ms * (0.5 + Math.random()));
}

function readableView(row: Row): RecordView | undefined {
  try {
    return recordView(row);
  } catch (error) {
    if (error instanceof RecordUnreadableError) return undefined;
    throw error;
  }
}
