import type { QueryRunner } from 'typeorm';
import type { Claim } from '../../core/idempotency-storage.js';
import type { TableName } from '../table-name.js';

/** What transactions must know of a kind of database. */
export interface TransactionDialect {
  /** As people call it. */
  readonly server: string;
  /** Statements that begin a transaction and set the savepoint of that name, by which its end can be told from within. */
  begin(isolation: string | undefined, savepoint: string): readonly string[];
  /** Stores the result; changes one row, or none when the lease is lost. Whatever the session's settings are. */
  complete(table: TableName, claim: Claim, result: Uint8Array, ttlMs: number): Question;
  /** One row with `isolation`, of the present transaction where nobody has chosen one. */
  readonly currentIsolation: string;
  /** Why a statement must not be run inside: it would end the transaction; `undefined` when it may. */
  refusal(sql: string): string | undefined;
  /** What it means that a savepoint is not there any more, or that nothing is obeyed. */
  describeLoss(error: unknown): string | undefined;
  /** Whether the database refused for the sake of others. @param error one of those that an error is made of */
  isConflict(error: Record<string, unknown>): boolean;
  /** Takes one from the application's pool. */
  connect(runner: QueryRunner): Promise<RequestConnection>;
}

export interface Question {
  readonly sql: string;
  readonly values: readonly unknown[];
}

export interface Answer {
  readonly rows: readonly Record<string, unknown>[];
  readonly affected: number;
  /** What the server says that it has done, where it says so. */
  readonly tag?: string;
}

/** The connection that a transaction has for itself. */
export interface RequestConnection {
  /** @throws what the driver says */
  ask(question: Question): Promise<Answer>;
  /** What those see who join: statements go through the gate, and nothing gives the connection back. */
  view(gate: Gate): unknown;
  /** After a statement has failed: why the server has ended the transaction by itself, if it has. Never rejects. */
  lossAfter(error: unknown): Promise<string | undefined>;
  /** It goes back to the pool as it is. */
  release(): Promise<void>;
  /** It is closed, and the server undoes what is not committed. Never rejects. */
  discard(reason: Error): Promise<void>;
}

/** Through it goes every statement of those who have joined. */
export interface Gate {
  /** Sends it when its turn has come, if the transaction still is open. */
  pass<T>(sql: string, send: () => Promise<T>): Promise<T>;
  /** The same for an answer that is read bit by bit: the next statement waits for `ended`. @throws when it is over */
  passStream(sql: string, ended: Promise<void>, abort: (reason: Error) => void): void;
  /** The server has said that there is no transaction any more. */
  lost(why: string): void;
}
