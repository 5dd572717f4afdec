import type { QueryRunner } from 'typeorm';
import type { Claim, OwnerOutcome } from '../../core/idempotency-storage.js';
import type { TableName } from '../table-name.js';
import type { Answer, Gate, Question, RequestConnection, TransactionDialect } from './dialect.js';
import { leftOpen, overlap, TransactionEndedError, TransactionMisusedError } from './errors.js';
import { assertAtLeast } from './isolation.js';
import { assertNotUndone, Levels, type Level } from './levels.js';
import { isPlainRead } from './plain-read.js';
import { Turns } from './turns.js';

export interface TransactionTerms {
  readonly dialect: TransactionDialect;
  readonly table: TableName;
  readonly isolation: string | undefined;
  /** For the application's query log. */
  log(sql: string): void;
}

type Phase = 'open' | 'completing' | 'committed' | 'rolled back';

/**
 * A transaction that has begun. Statements are sent one after another, in the order in which they were asked for: none is
 * on its way when the server says that it has ended the transaction by itself, and would then be a transaction of its own.
 */
export class OpenTransaction {
  readonly levels = new Levels();
  private phase: Phase = 'open';
  /** Why it cannot be committed any more. */
  private failure: Error | undefined;
  private isMarked = true;
  private readonly turns: Turns;
  private readonly streams = new Set<(reason: Error) => void>();
  private readonly hooks: { readonly level: Level; readonly call: () => void }[] = [];
  private ending: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly terms: TransactionTerms,
    private readonly connection: RequestConnection,
  ) {
    this.turns = new Turns(connection);
  }

  /** @throws what the driver says; then nothing is held */
  static async begin(runner: QueryRunner, terms: TransactionTerms): Promise<OpenTransaction> {
    const connection = await terms.dialect.connect(runner);
    const transaction = new OpenTransaction(terms, connection);
    const { name } = transaction.levels.root;
    await transaction.turns.takeSoon(async () => {
      for (const sql of terms.dialect.begin(terms.isolation, name)) await transaction.say(sql);
    });
    return transaction;
  }

  get isOver(): boolean {
    return this.phase !== 'open';
  }

  /** What those see who join, in the name of the level that `level` says when they ask. */
  view(level: () => Level): unknown {
    return this.connection.view(this.gate(level));
  }

  /** @throws TransactionEndedError, or why it has failed */
  assertOpen(): void {
    if (this.phase !== 'open') throw this.ended();
    if (this.failure !== undefined) throw this.failure;
  }

  /** Calls it once what the level does is committed. It must not throw. @throws when nothing can be committed any more */
  afterCommit(level: Level, call: () => void): void {
    this.assertOpen();
    this.hooks.push({ level, call });
  }

  /** Begins a nested transaction. Of two side by side the second waits for the first, where that has an end to wait for. */
  async nest(parent: Level, kind: Level['kind'], isWithin: (level: Level) => boolean): Promise<Level> {
    for (;;) {
      this.assertOpen();
      const around = this.levels.nearestOpen(parent);
      const others = this.levels.above(around);
      const last = others.at(-1);
      const mustNotWait = others.some((other) => other.kind === 'loose' || isWithin(other));
      if (last === undefined || mustNotWait) return this.savepoint(this.levels.push(around, kind));
      await last.closed;
    }
  }

  /** Keeps what was written since its savepoint, as far as what is around it is kept. */
  async merge(level: Level): Promise<void> {
    this.assertOpen();
    assertNotUndone(level);
    // Others are still open behind it: the server would end them with it. Theirs is for them to end.
    if (this.levels.top !== level) return this.levels.merge(level);
    this.levels.merge(level);
    try {
      await this.turns.take(() => this.say(`RELEASE SAVEPOINT ${level.name}`));
    } catch (error) {
      this.levels.putBack(level);
      throw error;
    }
  }

  async undo(level: Level): Promise<void> {
    this.assertOpen();
    assertNotUndone(level);
    if (!this.levels.undo(level)) throw this.fail(overlap());
    try {
      await this.turns.take(() => this.say(`ROLLBACK TO SAVEPOINT ${level.name}`));
    } catch (error) {
      throw this.fail(error as Error);
    }
  }

  /** @throws TransactionMisusedError when the transaction promises less than somebody inside asks for */
  async assertIsolation(wanted: string): Promise<void> {
    const { dialect, isolation } = this.terms;
    const given =
      isolation ??
      (await this.turns.take(() => this.ask({ sql: dialect.currentIsolation, values: [] }))).rows[0]?.[
        'isolation'
      ];
    assertAtLeast(String(given), wanted);
  }

  /** @throws what the database says, or why the transaction is not what it was */
  async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    this.assertOpen();
    this.stopJoining();
    return this.turns.take(async () => {
      await this.assertWhole();
      const question = this.terms.dialect.complete(this.terms.table, claim, result, ttlMs);
      const { affected } = await this.ask(question);
      return affected === 1 ? 'applied' : 'lease_lost';
    });
  }

  async commit(): Promise<void> {
    if (this.phase !== 'completing') {
      this.assertOpen();
      this.stopJoining();
    }
    await this.turns.take(async () => {
      await this.assertWhole();
      const { tag } = await this.say('COMMIT');
      // PostgreSQL's answer, without an error, when it had refused to go on before.
      if (tag === 'ROLLBACK') throw new Error('The server has rolled back instead of committing.');
    });
    this.phase = 'committed';
    for (const { level, call } of this.hooks.splice(0)) if (this.levels.isKept(level)) call();
  }

  /** Never rejects. What was asked for before and is not sent yet is not sent any more. */
  rollback(): Promise<void> {
    if (this.phase === 'committed') return Promise.resolve();
    if (this.phase !== 'rolled back') {
      this.phase = 'rolled back';
      this.levels.endAll();
      this.abortStreams();
      this.ending = this.turns.takeSoon(() => this.say('ROLLBACK')).catch(() => undefined);
    }
    return this.ending ?? Promise.resolve();
  }

  /** Never rejects. The connection goes back, once, or is closed where nobody knows what state it is in. */
  close(): Promise<void> {
    this.closing ??= this.giveBack();
    return this.closing;
  }

  private async giveBack(): Promise<void> {
    await this.rollback();
    await this.turns.release();
  }

  private gate(level: () => Level): Gate {
    return {
      pass: <T>(sql: string, send: () => Promise<T>) => {
        try {
          this.admit(sql, level);
        } catch (error) {
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- it is what was thrown
          return Promise.reject(error);
        }
        return this.turns.take(async () => {
          if (this.phase === 'rolled back') throw this.ended();
          if (this.failure !== undefined) throw this.failure;
          try {
            return await send();
          } catch (error) {
            const loss = await this.connection.lossAfter(error);
            if (loss !== undefined) this.fail(new TransactionEndedError(loss, { cause: error }));
            throw error;
          }
        });
      },
      passStream: (sql, ended, abort) => {
        this.admit(sql, level);
        this.streams.add(abort);
        this.turns.takenUntil(ended.finally(() => this.streams.delete(abort)));
      },
      lost: (why) => void this.fail(new TransactionEndedError(why)),
    };
  }

  private admit(sql: string, level: () => Level): void {
    this.assertOpen();
    const refusal = this.terms.dialect.refusal(sql);
    if (refusal !== undefined) throw new TransactionMisusedError(refusal);
    const asker = level();
    if (!isPlainRead(sql)) this.levels.wrote(asker);
  }

  private async savepoint(level: Level): Promise<Level> {
    try {
      await this.turns.take(() => this.say(`SAVEPOINT ${level.name}`));
      return level;
    } catch (error) {
      if (level.state === 'open') this.levels.undo(level);
      throw error;
    }
  }

  /** The handler has ended. What it left open is nothing that it could still want. */
  private stopJoining(): void {
    const open = this.levels.top !== this.levels.root;
    this.phase = 'completing';
    this.levels.endAll();
    this.abortStreams();
    if (open && this.failure === undefined) this.fail(leftOpen());
  }

  /** Nothing has ended the transaction meanwhile: not the server, and no statement that a handler has got past us. */
  private async assertWhole(): Promise<void> {
    if (this.phase === 'rolled back') throw this.ended();
    if (this.failure !== undefined) throw this.failure;
    if (!this.isMarked) return;
    this.isMarked = false;
    try {
      await this.say(`RELEASE SAVEPOINT ${this.levels.root.name}`);
    } catch (error) {
      const loss = this.terms.dialect.describeLoss(error);
      throw this.fail(
        loss === undefined ? (error as Error) : new TransactionMisusedError(loss, { cause: error }),
      );
    }
  }

  private fail(error: Error): Error {
    this.failure ??= error;
    this.levels.endAll();
    return this.failure;
  }

  private ended(): Error {
    return this.failure instanceof TransactionEndedError
      ? this.failure
      : new TransactionEndedError(this.phase === 'rolled back' ? 'is rolled back' : 'is over');
  }

  private say(sql: string): Promise<Answer> {
    this.terms.log(sql);
    return this.ask({ sql, values: [] });
  }

  private ask(question: Question): Promise<Answer> {
    return this.connection.ask(question);
  }

  /** Nobody reads them any more, and the end would wait for them. */
  private abortStreams(): void {
    for (const abort of this.streams) abort(this.ended());
  }
}
