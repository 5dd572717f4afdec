import type { Row } from '../rows.js';
import { quoteTable, type TableName } from '../table-name.js';
import { claimInWindows } from './claim-windows.js';
import type { Ask } from './connections.js';
import { numberIn } from './message-rows.js';
import type { MessageStore } from './message-store.js';
import type { ClaimRequest, Failure, MessageRow } from './outbox-table.js';
import * as statements from './postgres-statements.js';

export class PostgresOutbox implements MessageStore {
  private readonly sql: Readonly<Record<keyof typeof statements, string>>;

  constructor(table: TableName) {
    const quoted = quoteTable(table);
    const texts = Object.entries(statements).map(([name, statement]) => [name, statement(quoted).trim()]);
    this.sql = Object.fromEntries(texts) as typeof this.sql;
  }

  *insert(rows: readonly MessageRow[]) {
    const column = (name: keyof MessageRow) => rows.map((row) => row[name] ?? null);
    const names = ['id', 'aggregate', 'pattern', 'payload', 'headers', 'correlationId'] as const;
    yield { sql: this.sql.insert, values: names.map(column) };
  }

  claim(ask: Ask, { owner, leaseMs, perAggregate, limit }: ClaimRequest): Promise<readonly Row[]> {
    return claimInWindows(limit, async (most, window, seen) => {
      const values = [owner, leaseMs, most, perAggregate, window, seen];
      const { rows } = await ask(this.sql.claim, values);
      return {
        claimed: rows.filter((row) => row['sequence'] !== null),
        scanned: numberIn(rows[0], 'scanned'),
        seen: (rows[0]?.['seen'] ?? []) as readonly string[],
      };
    });
  }

  async delivered(ask: Ask, owner: string, sequences: readonly string[]): Promise<number> {
    return (await ask(this.sql.delivered, [owner, sequences])).affected;
  }

  async failed(ask: Ask, owner: string, sequence: string, failure: Failure): Promise<boolean> {
    const inMs = failure.kind === 'retry' ? failure.inMs : null;
    const { rows } = await ask(this.sql.failed, [owner, sequence, failure.error, inMs]);
    return rows.length === 1;
  }

  async release(ask: Ask, owner: string): Promise<void> {
    await ask(this.sql.release, [owner]);
  }

  async nextDue(ask: Ask): Promise<Row | undefined> {
    return (await ask(this.sql.nextDue)).rows[0];
  }

  async purge(ask: Ask, keepMs: number, limit: number): Promise<number> {
    return (await ask(this.sql.purge, [keepMs, limit])).affected;
  }

  async counts(ask: Ask): Promise<Row | undefined> {
    return (await ask(this.sql.counts)).rows[0];
  }

  async undelivered(ask: Ask, aggregate: string): Promise<Row | undefined> {
    return (await ask(this.sql.undelivered, [aggregate])).rows[0];
  }

  async deadLetters(ask: Ask, limit: number): Promise<readonly Row[]> {
    return (await ask(this.sql.deadLetters, [limit])).rows;
  }

  async decide(ask: Ask, id: string, decision: 'redeliver' | 'discard'): Promise<boolean> {
    return (await ask(this.sql[decision], [id])).affected === 1;
  }
}
