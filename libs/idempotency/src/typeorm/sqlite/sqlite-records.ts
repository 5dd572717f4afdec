import type { Claim, ClaimRequest, RecordQuery, Renewal } from '../../core/idempotency-storage.js';
import { FIND_PAGE, STATES, walk, type RecordTable, type RenewalAnswer } from '../database.js';
import type { Row } from '../rows.js';
import { quoteTable, type TableName } from '../table-name.js';
import type { Answer, Run, SqliteConnection } from './sqlite-connection.js';
import type * as sqlite from './statements.js';

/** The SQL, each for a quoted table. */
export type Statements = typeof sqlite;
export type StatementName = keyof Statements;

/** Renewals of one transaction; more would hold up the process for longer. */
const RENEW_BATCH = 200;

/** Greater than any byte of UTF-8. */
const AFTER_ALL = Buffer.from([0xff]);

export class SqliteRecords implements RecordTable {
  readonly locksShownIn = 'the other processes that have the file open';
  readonly transactional =
    "On SQLite the records have a DataSource of their own, whose transactions are not those of the handler's writes; and SQLite has one connection for all " +
    "requests, so that the rollback of one would undo the others' work. Use PostgreSQL or MariaDB where record and writes must commit together; or remove `transactional`, and let a " +
    'unique constraint be the second line of defence.';
  private readonly texts = new Map<StatementName, string>();

  constructor(
    private readonly connection: Pick<SqliteConnection, 'read' | 'write' | 'close'>,
    private readonly statements: Statements,
    private readonly table: TableName,
  ) {}

  /** Whoever may not claim has only read, and whoever may takes the lock before it looks again. */
  async claim(id: string, request: ClaimRequest): Promise<Row | undefined> {
    const { ownerToken, fingerprint, leaseMs, keepMs, takeOver } = request;
    const values = [id, fingerprint, ownerToken, leaseMs, leaseMs + keepMs, takeOver];
    const found = await this.connection.read((run) => this.first(run, 'look', values));
    if (found !== undefined && found['claimable'] !== true) return found;
    return this.connection.write(
      (run) => this.first(run, 'claim', values) ?? this.first(run, 'look', values),
    );
  }

  async renew(claims: readonly Renewal[]): Promise<readonly RenewalAnswer[]> {
    const batches: Promise<readonly RenewalAnswer[]>[] = [];
    for (let at = 0; at < claims.length; at += RENEW_BATCH) {
      const batch = claims.slice(at, at + RENEW_BATCH);
      batches.push(this.connection.write((run) => batch.map((one) => this.renewOne(run, one))));
    }
    return (await Promise.all(batches)).flat();
  }

  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<boolean> {
    return this.change('complete', claim, result, ttlMs);
  }

  release(claim: Claim): Promise<boolean> {
    return this.change('release', claim);
  }

  undoClaim({ id, ownerToken }: Claim): Promise<boolean> {
    const values = [id, ownerToken];
    return this.connection.write(
      (run) =>
        this.query(run, 'undoClaim', values).changes === 1 ||
        this.query(run, 'restore', values).changes === 1,
    );
  }

  saveStep(claim: Claim, entry: Uint8Array): Promise<boolean> {
    return this.change('saveStep', claim, entry);
  }

  get(id: string): Promise<Row | undefined> {
    return this.connection.read((run) => this.first(run, 'get', [id]));
  }

  find({ idPrefix, state, minAgeMs }: RecordQuery): AsyncIterable<Row> {
    const end = Buffer.concat([Buffer.from(idPrefix, 'utf8'), AFTER_ALL]);
    const filter = [idPrefix, end, state === undefined ? null : STATES[state], minAgeMs ?? 0];
    return walk((last) =>
      this.connection.read((run) => {
        const values = [last?.['id'] ?? null, ...filter, FIND_PAGE.rows, FIND_PAGE.bytes];
        return this.query(run, 'find', values).rows.map(withBooleans);
      }),
    );
  }

  async forget(id: string): Promise<boolean> {
    return (await this.connection.write((run) => this.first(run, 'forget', [id])))?.['live'] === true;
  }

  purge(limit: number): Promise<number> {
    return this.connection.write((run) => this.query(run, 'purge', [limit]).changes);
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  private change(
    name: 'complete' | 'release' | 'saveStep',
    { id, ownerToken }: Claim,
    ...more: unknown[]
  ): Promise<boolean> {
    const values = [id, ownerToken, ...more];
    return this.connection.write((run) => this.query(run, name, values).changes === 1);
  }

  private renewOne(run: Run, { claim, leaseMs }: Renewal): RenewalAnswer {
    const owned = this.query(run, 'renew', [claim.id, claim.ownerToken, leaseMs]).changes === 1;
    // Nobody else can have the row locked: this transaction has the lock of the file.
    return { owned, settled: owned };
  }

  private first(run: Run, name: StatementName, values: readonly unknown[]): Row | undefined {
    const [row] = this.query(run, name, values).rows;
    return row && withBooleans(row);
  }

  private query(run: Run, name: StatementName, values: readonly unknown[]): Answer {
    const sql = this.texts.get(name) ?? this.statements[name](quoteTable(this.table)).trim();
    this.texts.set(name, sql);
    return run(sql, values);
  }
}

const BOOLEANS = ['won', 'claimable', 'released', 'live'];

/** SQLite has numbers for them. */
function withBooleans(row: Row): Row {
  const known = BOOLEANS.filter((column) => column in row);
  return { ...row, ...Object.fromEntries(known.map((column) => [column, row[column] === 1])) };
}
