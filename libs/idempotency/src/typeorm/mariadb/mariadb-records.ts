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
import type { TableName } from '../table-name.js';
import type { Answer, ControlConnections } from './control-connections.js';
import { quoteTable } from './quoting.js';
import * as statements from './statements.js';

/** A statement for a quoted table. */
export type StatementText = (table: string) => string;

/** Runs one of them, and gives rows in the terms that all databases share. */
export type Ask = (name: string, statement: StatementText, values: unknown[]) => Promise<Answer>;

/** How a claim is asked for: the one thing in which MariaDB and MySQL differ. */
export type AskClaim = (ask: Ask, id: Buffer, request: ClaimRequest) => Promise<Row | undefined>;

/** Ids, and everything else that is compared, travel as bytes: no character set or collation has a say. */
export class MariaDbRecords implements RecordTable {
  readonly locksShownIn = 'information_schema.INNODB_TRX';
  private readonly texts = new Map<StatementText, string>();

  constructor(
    private readonly connections: Pick<ControlConnections, 'query' | 'close'>,
    private readonly askClaim: AskClaim,
    private readonly table: TableName,
    readonly transactional?: Transactional,
  ) {}

  claim(id: string, request: ClaimRequest): Promise<Row | undefined> {
    return this.askClaim(this.ask, Buffer.from(id), request);
  }

  async renew(claims: readonly Renewal[]): Promise<readonly RenewalAnswer[]> {
    const asked = JSON.stringify(
      claims.map(({ claim, leaseMs }) => ({
        id: Buffer.from(claim.id).toString('hex'),
        owner: claim.ownerToken,
        leaseMs,
      })),
    );
    const start = performance.now();
    const { affected } = await this.ask('renew', statements.renew, [asked]);
    if (affected === claims.length) return claims.map(() => ({ owned: true, settled: true }));
    const sinceMs = Math.ceil(performance.now() - start) + 1;
    const { rows } = await this.ask('renewed', statements.renewed, [sinceMs, asked]);
    return rows.map((row) => ({ owned: row['owned'] === true, settled: row['settled'] === true }));
  }

  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<boolean> {
    return this.change('complete', claim, [bytesOf(result), ttlMs]);
  }

  release(claim: Claim): Promise<boolean> {
    return this.change('release', claim);
  }

  undoClaim(claim: Claim): Promise<boolean> {
    return this.change('undoClaim', claim);
  }

  saveStep(claim: Claim, entry: Uint8Array): Promise<boolean> {
    return this.change('saveStep', claim, [bytesOf(entry)]);
  }

  async get(id: string): Promise<Row | undefined> {
    return (await this.ask('get', statements.get, [Buffer.from(id)])).rows[0];
  }

  find({ idPrefix, state, minAgeMs }: RecordQuery): AsyncIterable<Row> {
    const pattern = Buffer.from(`${idPrefix.replace(/[\\%_]/g, '\\$&')}%`);
    const code = state === undefined ? null : STATES[state];
    return walk(async (last) => {
      // `sharedTerms` has made it a text.
      const after = Buffer.from((last?.['id'] as string | undefined) ?? '');
      const values = [after, pattern, code, code, minAgeMs ?? 0, FIND_PAGE.rows, FIND_PAGE.bytes];
      return (await this.ask('find', statements.find, values)).rows;
    });
  }

  async forget(id: string): Promise<boolean> {
    return (await this.ask('forget', statements.forget, [Buffer.from(id)])).affected > 0;
  }

  async purge(limit: number): Promise<number> {
    return (await this.ask('purge', statements.purge, [limit])).affected;
  }

  close(): Promise<void> {
    return this.connections.close();
  }

  private async change(
    name: 'complete' | 'release' | 'undoClaim' | 'saveStep',
    { id, ownerToken }: Claim,
    first: unknown[] = [],
  ): Promise<boolean> {
    const { affected } = await this.ask(name, statements[name], [...first, Buffer.from(id), ownerToken]);
    return affected > 0;
  }

  private readonly ask: Ask = async (name, statement, values) => {
    const sql = this.texts.get(statement) ?? statement(quoteTable(this.table)).trim();
    this.texts.set(statement, sql);
    const { rows, affected } = await this.connections.query({ name, sql }, values);
    return { rows: rows.map(sharedTerms), affected };
  };
}

/** Of a view into a larger buffer only its own bytes. */
function bytesOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const BOOLEANS = ['won', 'claimable', 'released', 'owned', 'settled', 'is_over', 'is_again'];
const TEXTS = ['id', 'fingerprint'];

function sharedTerms(row: Row): Row {
  const shared: Record<string, unknown> = { ...row };
  for (const column of BOOLEANS) if (column in row) shared[column] = Number(row[column]) === 1;
  for (const column of TEXTS) {
    const value = row[column];
    if (Buffer.isBuffer(value)) shared[column] = value.toString();
  }
  return shared;
}
