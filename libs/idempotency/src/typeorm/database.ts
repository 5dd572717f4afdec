import type { DataSource, EntityTarget, ObjectLiteral } from 'typeorm';
import type { Claim, ClaimRequest, RecordQuery, Renewal, StorageHost } from '../core/idempotency-storage.js';
import type { Row } from './rows.js';
import type { TableName } from './table-name.js';
import type { TransactionDialect } from './transaction/dialect.js';

/** A kind of database, as far as the storage must know it. */
export interface Database {
  /** What `type` of a DataSource says for it. */
  readonly types: readonly string[];
  /** Where it is registered with the DataSource, its metadata name the table. */
  readonly entity: EntityTarget<ObjectLiteral>;
  /** Statements for the migration; processes that run them at the same moment make one table. */
  createTable(table: TableName): readonly string[];
  dropTable(table: TableName): readonly string[];
  /**
   * Opens connections of the storage's own and checks the table.
   *
   * @throws InvalidOptionsError when the database or its table cannot hold records, with the mend
   * @throws StorageUnavailableError when it does not answer
   */
  open(dataSource: DataSource, table: TableName, settings: OpenSettings): Promise<RecordTable>;
}

export interface OpenSettings {
  readonly controlConnections: number;
  readonly preparedStatements: boolean;
  /** `undefined` where a storage is used without the framework. */
  readonly host: StorageHost | undefined;
  warn(message: string): void;
}

/**
 * The open table of one database. Every call that changes a record is atomic, one round trip unless said otherwise, and
 * judges time by the server's clock; each rejects with StorageUnavailableError alone. What an answer means, and when to
 * ask again, is the storage's business.
 */
export interface RecordTable {
  /** Where an operator finds who holds a lock, for messages. */
  readonly locksShownIn: string;
  /** How a handler's transaction holds its record as well; or why it cannot, and what to do instead. */
  readonly transactional?: Transactional | string;
  /**
   * Asks to run; reads alone when the answer is not `won`, and waits for no lock on an existing row.
   *
   * `won` true with `attempt`, `previous` and `steps`; `won` false with the record as it is, where `claimable` true
   * says that somebody else has it locked or has just changed it: ask again. `undefined`: another claim came first that
   * cannot be shown yet, ask again.
   */
  claim(id: string, request: ClaimRequest): Promise<Row | undefined>;
  /** Answers in the order of the claims. Passes over rows that are locked at this moment. */
  renew(claims: readonly Renewal[]): Promise<readonly RenewalAnswer[]>;
  /** `true`: applied. A record that the same owner completed before stays as it is, and that is `true` as well. */
  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<boolean>;
  /** `true`: applied. */
  release(claim: Claim): Promise<boolean>;
  /** `release` with `forget`: the record goes back to what the claim found. `true`: applied. */
  undoClaim(claim: Claim): Promise<boolean>;
  /** Appends to the log of steps (step-log.ts). `true`: applied. */
  saveStep(claim: Claim, entry: Uint8Array): Promise<boolean>;
  get(id: string): Promise<Row | undefined>;
  /** In the order of ids, page by page; no page is read before it is asked for. */
  find(query: RecordQuery): AsyncIterable<Row>;
  /** `true` when there was one whose keeping time was not over. */
  forget(id: string): Promise<boolean>;
  /** Removes at most so many expired records, the oldest first; passes over rows that are locked. Answers how many. */
  purge(limit: number): Promise<number>;
  close(): Promise<void>;
}

export interface Transactional {
  readonly dialect: TransactionDialect;
  /** Where the records were found: with the schema, so that it is the same table in every session. */
  readonly table: TableName;
}

export interface RenewalAnswer {
  /** The row was the claim's own. */
  readonly owned: boolean;
  /** It was renewed, or is completed and needs no lease. Owned and not settled: somebody has it locked, or just had. */
  readonly settled: boolean;
}

/** As the column `state` holds them. */
export const STATES = { in_progress: 0, completed: 1 } as const;

/** How much of a walk is asked for at a time: rows, and bytes of steps and results before the last of them. */
export const FIND_PAGE = { rows: 200, bytes: 4 * 1024 * 1024 };

/** Walks page after page until one is empty; `page` gets the last row of the one before. */
export async function* walk(page: (last: Row | undefined) => Promise<readonly Row[]>): AsyncIterable<Row> {
  for (let last: Row | undefined; ;) {
    const rows = await page(last);
    if (rows.length === 0) return;
    yield* rows;
    last = rows.at(-1);
  }
}
