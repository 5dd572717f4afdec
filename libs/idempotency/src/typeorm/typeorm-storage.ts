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
import { claimOutcome, likePrefix, recordView, writeId, type Row } from './rows.js';
import { openSession, type Session, type StatementName } from './session.js';
import { stepEntry } from './step-log.js';
import { resolveOptions, type TypeOrmStorageOptions } from './storage-options.js';

/** Records in the application's own database, over a few connections of the storage's own. */
export function typeOrmStorage(options: TypeOrmStorageOptions = {}): IdempotencyStorage {
  const resolved = resolveOptions(options);
  return new TypeOrmStorage((host) => openSession(resolved, host));
}

/** Before each question about a row that others are changing: they need a moment, and not all the same one. */
const CLAIM_PAUSES_MS = [0, 1, 2, 4, 8, 16, 32];
const RENEW_PAUSES_MS = [0, 5, 20];
const FIND_PAGE = { rows: 200, bytes: 4 * 1024 * 1024 };
const STATES = { in_progress: 0, completed: 1 } as const;

export class TypeOrmStorage implements IdempotencyStorage {
  readonly name = 'typeorm';
  readonly shared = true;
  private session: Promise<Session> | undefined;

  constructor(private readonly open: (host: StorageHost | undefined) => Promise<Session>) {}

  async start(host?: StorageHost): Promise<void> {
    this.session ??= this.open(host);
    try {
      await this.session;
    } catch (error) {
      this.session = undefined;
      throw error;
    }
  }

  async stop(): Promise<void> {
    const { session } = this;
    this.session = undefined;
    await (await session?.catch(() => undefined))?.close();
  }

  async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
    const { ownerToken, fingerprint, leaseMs, keepMs, takeOver } = request;
    const values = [writeId(id), fingerprint, ownerToken, leaseMs, leaseMs + keepMs, takeOver];
    let row: Row | undefined;
    for (const pause of CLAIM_PAUSES_MS) {
      await pauseFor(pause);
      row = (await this.query('claim', values)).rows[0];
      if (row !== undefined && row['claimable'] !== true) return this.answer(row, id, request);
    }
    if (row === undefined || Number(row['expires_s']) <= 0) {
      throw new StorageUnavailableError(
        'typeOrmStorage: another transaction holds the record and does not end. Look for it in pg_locks.',
      );
    }
    // Locked all the time: its owner's transaction is about to end, or stands still. Nobody can take over meanwhile.
    return this.answer(row, id, request);
  }

  async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
    const outcomes = claims.map((): OwnerOutcome => 'lease_lost');
    let open = claims.map((renewal, place) => ({ ...renewal, place }));
    for (const pause of RENEW_PAUSES_MS) {
      if (open.length === 0) break;
      await pauseFor(pause);
      const { rows } = await this.query('renew', [
        open.map(({ claim }) => writeId(claim.id)),
        open.map(({ claim }) => claim.ownerToken),
        open.map(({ leaseMs }) => leaseMs),
      ]);
      open.forEach(({ place }, index) => {
        outcomes[place] = rows[index]?.['owned'] === true ? 'applied' : 'lease_lost';
      });
      // Locked: by its own commit, or by a takeover that the snapshot of the statement cannot show.
      open = open.filter((_, index) => rows[index]?.['owned'] === true && rows[index]?.['settled'] !== true);
    }
    return outcomes;
  }

  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    return this.change('complete', claim, result, ttlMs);
  }

  release(claim: Claim, { forget }: ReleaseOptions): Promise<OwnerOutcome> {
    return this.change(forget ? 'undoClaim' : 'release', claim);
  }

  saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome> {
    return this.change('saveStep', claim, stepEntry(name, value));
  }

  async get(id: string): Promise<RecordView | undefined> {
    const [row] = (await this.query('get', [writeId(id)])).rows;
    return row && recordView(row);
  }

  async forget(id: string): Promise<boolean> {
    const [row] = (await this.query('forget', [writeId(id)])).rows;
    return row?.['live'] === true;
  }

  async *find({ idPrefix, state, minAgeMs }: RecordQuery): AsyncIterable<RecordView> {
    const filter = [likePrefix(idPrefix), state === undefined ? null : STATES[state], minAgeMs ?? 0];
    let unreadable = 0;
    for (let last: unknown = null; ;) {
      const { rows } = await this.query('find', [last, ...filter, FIND_PAGE.rows, FIND_PAGE.bytes]);
      if (rows.length === 0) break;
      last = rows.at(-1)?.['id'];
      for (const row of rows) {
        const record = readableView(row);
        if (record === undefined) unreadable += 1;
        else yield record;
      }
    }
    if (unreadable > 0) {
      (await this.started()).warn(
        `typeOrmStorage: ${unreadable} record(s) were left out of a search because they cannot be read.`,
      );
    }
  }

  async purgeExpired(limit: number): Promise<number> {
    return (await this.query('purge', [limit])).rowCount ?? 0;
  }

  private started(): Promise<Session> {
    if (this.session !== undefined) return this.session;
    throw new StorageUnavailableError('typeOrmStorage is not started, or stopped already.');
  }

  private async query(name: StatementName, values: unknown[]) {
    return (await this.started()).query(name, values);
  }

  private async change(
    name: 'complete' | 'release' | 'undoClaim' | 'saveStep',
    { id, ownerToken }: Claim,
    ...more: unknown[]
  ): Promise<OwnerOutcome> {
    const { rowCount } = await this.query(name, [writeId(id), ownerToken, ...more]);
    return rowCount === 1 ? 'applied' : 'lease_lost';
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
