import type { Claim, ClaimRequest, RecordQuery, Renewal } from '../../core/idempotency-storage.js';
import {
  FIND_PAGE,
  STATES,
  walk,
  type RecordTable,
  type RenewalAnswer,
  type Transactional,
} from '../database.js';
import type { Row } from '../rows.js';
import { quoteTable, type TableName } from '../table-name.js';
import type { ControlConnections, QueryAnswer } from './control-connections.js';
import type * as postgres from './statements.js';
import { likePrefix, readId, writeId } from './stored-id.js';

/** The SQL, each for a quoted table. */
export type Statements = Omit<typeof postgres, 'inspect'>;
export type StatementName = keyof Statements;

/** Each call is one of the statements. */
export class PostgresRecords implements RecordTable {
  readonly locksShownIn = 'pg_locks';
  private readonly texts = new Map<StatementName, string>();

  constructor(
    private readonly connections: Pick<ControlConnections, 'query' | 'close'>,
    private readonly statements: Statements,
    private readonly table: TableName,
    readonly transactional?: Transactional,
  ) {}

  async claim(id: string, request: ClaimRequest): Promise<Row | undefined> {
    const { ownerToken, fingerprint, leaseMs, keepMs, takeOver } = request;
    const values = [writeId(id), fingerprint, ownerToken, leaseMs, leaseMs + keepMs, takeOver];
    return (await this.query('claim', values)).rows[0];
  }

  async renew(claims: readonly Renewal[]): Promise<readonly RenewalAnswer[]> {
    const { rows } = await this.query('renew', [
      claims.map(({ claim }) => writeId(claim.id)),
      claims.map(({ claim }) => claim.ownerToken),
      claims.map(({ leaseMs }) => leaseMs),
    ]);
    return rows.map((row) => ({ owned: row['owned'] === true, settled: row['settled'] === true }));
  }

  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<boolean> {
    return this.change('complete', claim, result, ttlMs);
  }

  release(claim: Claim): Promise<boolean> {
    return this.change('release', claim);
  }

  undoClaim(claim: Claim): Promise<boolean> {
    return this.change('undoClaim', claim);
  }

  saveStep(claim: Claim, entry: Uint8Array): Promise<boolean> {
    return this.change('saveStep', claim, entry);
  }

  async get(id: string): Promise<Row | undefined> {
    const [row] = (await this.query('get', [writeId(id)])).rows;
    return row && withPlainId(row);
  }

  async *find({ idPrefix, state, minAgeMs }: RecordQuery): AsyncIterable<Row> {
    const filter = [likePrefix(idPrefix), state === undefined ? null : STATES[state], minAgeMs ?? 0];
    const page = async (last: Row | undefined) => {
      const values = [last?.['id'] ?? null, ...filter, FIND_PAGE.rows, FIND_PAGE.bytes];
      return (await this.query('find', values)).rows;
    };
    for await (const row of walk(page)) yield withPlainId(row);
  }

  async forget(id: string): Promise<boolean> {
    const [row] = (await this.query('forget', [writeId(id)])).rows;
    return row?.['live'] === true;
  }

  async purge(limit: number): Promise<number> {
    return (await this.query('purge', [limit])).rowCount ?? 0;
  }

  close(): Promise<void> {
    return this.connections.close();
  }

  private async change(
    name: 'complete' | 'release' | 'undoClaim' | 'saveStep',
    { id, ownerToken }: Claim,
    ...more: unknown[]
  ): Promise<boolean> {
    return (await this.query(name, [writeId(id), ownerToken, ...more])).rowCount === 1;
  }

  private query(name: StatementName, values: unknown[]): Promise<QueryAnswer> {
    const sql = this.texts.get(name) ?? this.statements[name](quoteTable(this.table)).trim();
    this.texts.set(name, sql);
    return this.connections.query({ name, sql }, values);
  }
}

function withPlainId(row: Row): Row {
  const { id } = row;
  return typeof id === 'string' ? { ...row, id: readId(id) } : row;
}
