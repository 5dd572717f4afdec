import type { QueryRunner } from 'typeorm';
import type { OutboxConnections } from './connections.js';
import type { MessageStore } from './message-store.js';
import { claimedOf, deadLetterOf, inOrder, numberIn } from './message-rows.js';
import type {
  ClaimedMessage,
  ClaimRequest,
  DeadLetter,
  Failure,
  MessageRow,
  OutboxCounts,
  OutboxTable,
} from './outbox-table.js';

export class TypeOrmOutbox implements OutboxTable {
  constructor(
    private readonly connections: OutboxConnections,
    private readonly store: MessageStore,
  ) {}

  async insert(runner: QueryRunner, rows: readonly MessageRow[]): Promise<void> {
    for (const { sql, values } of this.store.insert(rows)) await runner.query(sql, values);
  }

  async claim(request: ClaimRequest): Promise<readonly ClaimedMessage[]> {
    const rows = await this.connections.use('claim messages', (ask) => this.store.claim(ask, request));
    return inOrder(rows).map(claimedOf);
  }

  async delivered(owner: string, sequences: readonly string[]): Promise<number> {
    if (sequences.length === 0) return 0;
    return this.connections.use('mark messages as delivered', (ask) =>
      this.store.delivered(ask, owner, sequences),
    );
  }

  failed(owner: string, sequence: string, failure: Failure): Promise<boolean> {
    return this.connections.use('note that a message failed', (ask) =>
      this.store.failed(ask, owner, sequence, failure),
    );
  }

  release(owner: string): Promise<void> {
    return this.connections.use('give messages back', (ask) => this.store.release(ask, owner));
  }

  async nextDueMs(): Promise<number | undefined> {
    const row = await this.connections.use('tell what is due', (ask) => this.store.nextDue(ask));
    const value = row?.['due_in_ms'] ?? undefined;
    return value === undefined ? undefined : Math.max(0, Math.ceil(Number(value)));
  }

  purge(keepMs: number, limit: number): Promise<number> {
    return this.connections.use('remove delivered messages', (ask) => this.store.purge(ask, keepMs, limit));
  }

  async counts(): Promise<OutboxCounts> {
    const row = await this.connections.use('count messages', (ask) => this.store.counts(ask));
    return {
      waiting: numberIn(row, 'waiting'),
      heldBack: numberIn(row, 'held_back'),
      dead: numberIn(row, 'dead'),
      oldestMs: Math.max(0, Math.floor(numberIn(row, 'oldest_ms'))),
    };
  }

  async undelivered(aggregate: string): Promise<number> {
    const row = await this.connections.use('count messages', (ask) => this.store.undelivered(ask, aggregate));
    return numberIn(row, 'undelivered');
  }

  async deadLetters(limit: number): Promise<readonly DeadLetter[]> {
    const rows = await this.connections.use('list dead letters', (ask) => this.store.deadLetters(ask, limit));
    return rows.map(deadLetterOf);
  }

  decide(id: string, decision: 'redeliver' | 'discard'): Promise<boolean> {
    return this.connections.use(`${decision} a dead letter`, (ask) => this.store.decide(ask, id, decision));
  }
}
