import { quoteTable } from '../mariadb/quoting.js';
import type { Row } from '../rows.js';
import type { TableName } from '../table-name.js';
import { claimInWindows, type WindowAnswer } from './claim-windows.js';
import { inTransaction, type Ask } from './connections.js';
import * as sql from './mariadb-statements.js';
import { compareSequences, numberIn, sequenceOf, textIn } from './message-rows.js';
import type { MessageStore } from './message-store.js';
import type { ClaimRequest, Failure, MessageRow } from './outbox-table.js';

/** Rows and characters of one insert: a packet is at most 16 MB by default. */
const INSERT = { rows: 200, characters: 1_000_000 };
/** Heads of which a claim is told at a time. */
const MOST_CANDIDATES = 1000;
const BEGIN = [sql.READ_COMMITTED, 'start transaction'];

export class MariaDbOutbox implements MessageStore {
  private readonly table: string;

  constructor(table: TableName) {
    this.table = quoteTable(table);
  }

  *insert(rows: readonly MessageRow[]) {
    for (const some of inserts(rows)) {
      const values = some.flatMap((row) => [
        Buffer.from(row.id),
        bytes(row.aggregate),
        Buffer.from(row.pattern),
        row.payload,
        row.headers,
        Buffer.from(row.correlationId),
      ]);
      yield { sql: sql.insert(this.table, some.length).trim(), values };
    }
  }

  /**
   * In two parts: a locking read sees rows that are newer than what a question inside of it has seen, so heads are found first and
   * locked by their `sequence` then, if they still may be sent. They still are heads: what stood before them has been delivered
   * for good.
   */
  claim(ask: Ask, request: ClaimRequest): Promise<readonly Row[]> {
    return claimInWindows(request.limit, async (most, window, seen) => {
      const values = [...seen.map((aggregate) => Buffer.from(aggregate)), window, MOST_CANDIDATES];
      const { rows } = await ask(sql.candidates(this.table, seen.length), values);
      const heads = rows.filter((row) => Number(row['claimable']) === 1).map(sequenceOf);
      const claimed = heads.length === 0 ? [] : await this.lease(ask, { ...request, limit: most }, heads);
      return {
        claimed,
        scanned: numberIn(rows[0], 'scanned'),
        seen: rows.flatMap((row) => textIn(row, 'aggregate') ?? []),
      } satisfies WindowAnswer;
    });
  }

  private lease(ask: Ask, request: ClaimRequest, candidates: readonly string[]): Promise<readonly Row[]> {
    const { owner, leaseMs, perAggregate, limit } = request;
    return inTransaction(ask, BEGIN, async () => {
      const heads = await this.lock(ask, candidates, limit);
      const run = await this.behind(ask, heads, perAggregate - 1);
      const places: readonly Place[] = [
        ...heads.map((row) => ({ head: sequenceOf(row), sequence: sequenceOf(row) })),
        ...run,
      ]
        .sort((one, other) => compareSequences(one.sequence, other.sequence))
        .slice(0, limit);
      const behind = places.filter(({ head, sequence }) => head !== sequence);
      const followers = await this.lock(
        ask,
        behind.map(({ sequence }) => sequence),
        limit,
      );
      const taken = fromTheFront(places, [...heads, ...followers]);
      if (taken.length === 0) return [];
      await ask(sql.lease(this.table, taken.length), [owner, leaseMs, ...taken.map(sequenceOf)]);
      return taken.map((row) => ({ ...row, attempts: numberIn(row, 'attempts') + 1 }));
    });
  }

  private async lock(ask: Ask, sequences: readonly string[], limit: number): Promise<readonly Row[]> {
    if (sequences.length === 0) return [];
    return (await ask(sql.lock(this.table, sequences.length), [...sequences, limit])).rows;
  }

  private async behind(ask: Ask, heads: readonly Row[], most: number): Promise<readonly Place[]> {
    const some = heads.filter((row) => row['aggregate'] !== null);
    if (some.length === 0 || most < 1) return [];
    const values = some.flatMap((row) => [sequenceOf(row), row['aggregate'], sequenceOf(row), most]);
    const { rows } = await ask(sql.followers(this.table, some.length), values);
    return rows.map((row) => ({ head: textIn(row, 'head') ?? '', sequence: sequenceOf(row) }));
  }

  async delivered(ask: Ask, owner: string, sequences: readonly string[]): Promise<number> {
    return changed(ask, sql.delivered(this.table, sequences.length), [owner, ...sequences]);
  }

  async failed(ask: Ask, owner: string, sequence: string, failure: Failure): Promise<boolean> {
    // As bytes: the session's character set may lack some of its characters.
    const error = Buffer.from(failure.error);
    return inTransaction(ask, BEGIN, async () => {
      const { affected } =
        failure.kind === 'dead'
          ? await ask(sql.died(this.table), [error, owner, sequence])
          : await ask(sql.retried(this.table), [error, Math.ceil(failure.inMs), owner, sequence]);
      if (affected === 0) return false;
      await ask(sql.releaseAggregate(this.table), [sequence, owner]);
      return true;
    });
  }

  async release(ask: Ask, owner: string): Promise<void> {
    await changed(ask, sql.release(this.table), [owner]);
  }

  async nextDue(ask: Ask): Promise<Row | undefined> {
    return (await ask(sql.nextDue(this.table))).rows[0];
  }

  async purge(ask: Ask, keepMs: number, limit: number): Promise<number> {
    return changed(ask, sql.purge(this.table), [keepMs, limit]);
  }

  async counts(ask: Ask): Promise<Row | undefined> {
    return (await ask(sql.counts(this.table))).rows[0];
  }

  async undelivered(ask: Ask, aggregate: string): Promise<Row | undefined> {
    return (await ask(sql.undelivered(this.table), [Buffer.from(aggregate)])).rows[0];
  }

  async deadLetters(ask: Ask, limit: number): Promise<readonly Row[]> {
    return (await ask(sql.deadLetters(this.table), [limit])).rows;
  }

  async decide(ask: Ask, id: string, decision: 'redeliver' | 'discard'): Promise<boolean> {
    return (await changed(ask, sql[decision](this.table), [Buffer.from(id)])) === 1;
  }
}

/** A message among those that stand behind one head. */
interface Place {
  readonly head: string;
  readonly sequence: string;
}

/** Nothing behind one that was not locked. */
function fromTheFront(places: readonly Place[], locked: readonly Row[]): readonly Row[] {
  const rows = new Map(locked.map((row) => [sequenceOf(row), row]));
  const broken = new Set<string>();
  return places.flatMap(({ head, sequence }) => {
    const row = rows.get(sequence);
    if (row === undefined) broken.add(head);
    return row === undefined || broken.has(head) ? [] : [row];
  });
}

async function changed(ask: Ask, statement: string, values: readonly unknown[]): Promise<number> {
  await ask(sql.READ_COMMITTED);
  return (await ask(statement, values)).affected;
}

function bytes(text: string | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text);
}

function* inserts(rows: readonly MessageRow[]): Iterable<readonly MessageRow[]> {
  let some: MessageRow[] = [];
  let size = 0;
  for (const row of rows) {
    const written = { ...row, payload: inAscii(row.payload), headers: inAscii(row.headers) };
    some.push(written);
    size += written.payload.length + written.headers.length;
    if (some.length < INSERT.rows && size < INSERT.characters) continue;
    yield some;
    some = [];
    size = 0;
  }
  if (some.length > 0) yield some;
}

/** The same JSON. The session's character set, which is the application's, may lack some of its characters. */
function inAscii(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
