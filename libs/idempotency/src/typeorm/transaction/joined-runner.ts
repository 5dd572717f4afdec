import { TransactionNotStartedError, type EntityManager, type QueryRunner } from 'typeorm';
import { bare } from './errors.js';
import { assertNotUndone, type Level } from './levels.js';
import type { OpenTransaction } from './open-transaction.js';

/** What TypeORM tells subscribers about transactions. */
interface Broadcaster {
  broadcast(event: string): unknown;
}

type QueryMethod = (...args: unknown[]) => Promise<unknown>;

/** On every runner that joins, also for another copy of the library. */
export const AFTER_COMMIT = Symbol.for('nestjs-idempotent:after-commit');

/** A runner, as far as it says when the transaction that it has joined is committed. */
export interface JoinsCommit {
  /** Calls it once the handler's transaction is committed, with what this runner does now. It must not throw. */
  readonly [AFTER_COMMIT]?: (call: () => void) => void;
}

/** Where code stands that asks, as far as the transaction is concerned. */
export interface Standpoint {
  /** The innermost nested transaction that it runs in. */
  level(): Level;
}

const MEMBERS = new WeakMap<object, JoinedRunner>();

/** The member that a runner is, unless it goes its ordinary way. */
export function memberOf(runner: QueryRunner | undefined): JoinedRunner | undefined {
  return runner === undefined ? undefined : MEMBERS.get(runner);
}

/**
 * A query runner of TypeORM's that has no connection of its own: it works on that of the transaction. Its own transactions
 * are savepoints, and its release gives nothing back.
 */
export class JoinedRunner {
  private readonly own: Level[] = [];
  private hasBegun = false;
  private connection: unknown;
  private readonly query: QueryMethod;

  constructor(
    readonly runner: QueryRunner,
    private readonly transaction: OpenTransaction,
    private readonly home: Level,
    private readonly standpoint: Standpoint,
  ) {
    MEMBERS.set(runner, this);
    this.query = runner.query.bind(runner) as QueryMethod;
    Object.defineProperty(runner, 'isTransactionActive', {
      configurable: true,
      enumerable: true,
      get: () => this.isTransactionActive(),
      set: () => undefined,
    });
    Object.assign(runner, {
      connect: () => this.connect(),
      query: (...args: unknown[]) => this.ask(...args),
      startTransaction: async (isolation?: string) => {
        await this.begin(isolation);
      },
      commitTransaction: () => this.commit(),
      rollbackTransaction: () => this.rollback(),
      release: () => this.release(),
      [Symbol.asyncDispose]: () => this.dispose(),
      [AFTER_COMMIT]: (call: () => void) => this.transaction.afterCommit(this.level(), call),
    });
  }

  get manager(): EntityManager {
    return this.runner.manager;
  }

  /** To whom it belongs what this runner does now. */
  readonly level = (): Level => {
    const own = this.own.at(-1);
    if (own === undefined) return this.transaction.levels.nearestOpen(this.home);
    assertNotUndone(own);
    return own;
  };

  /** Around a function whose end is its end. */
  beginAround(isolation: string | undefined): Promise<Level> {
    return this.begin(isolation, 'function');
  }

  private async begin(isolation?: string, kind: Level['kind'] = 'loose'): Promise<Level> {
    this.transaction.assertOpen();
    if (isolation !== undefined) await this.transaction.assertIsolation(isolation);
    await this.tell('BeforeTransactionStart');
    const here = this.standpoint.level();
    const mine = this.level();
    const level = await this.transaction.nest(here.isWithin(mine) ? here : mine, kind, (other) =>
      this.standpoint.level().isWithin(other),
    );
    this.own.push(level);
    this.hasBegun = true;
    await this.tell('AfterTransactionStart');
    return level;
  }

  private async commit(): Promise<void> {
    const level = this.current();
    await this.tell('BeforeTransactionCommit');
    await this.transaction.merge(level);
    this.forget(level);
    await this.tell('AfterTransactionCommit');
  }

  private async rollback(): Promise<void> {
    const level = this.current();
    await this.tell('BeforeTransactionRollback');
    this.forget(level);
    await this.transaction.undo(level);
    await this.tell('AfterTransactionRollback');
  }

  private current(): Level {
    this.transaction.assertOpen();
    const level = this.own.at(-1);
    if (level === undefined) throw new TransactionNotStartedError();
    return level;
  }

  private forget(level: Level): void {
    const place = this.own.indexOf(level);
    if (place >= 0) this.own.splice(place, 1);
  }

  /** Somebody who has begun one by hand asks whether that is still open; everybody else is in the handler's. */
  private isTransactionActive(): boolean {
    return !this.hasBegun || this.own.length > 0;
  }

  private async connect(): Promise<unknown> {
    await Promise.resolve();
    this.transaction.assertOpen();
    this.connection ??= this.transaction.view(this.level);
    return this.connection;
  }

  private async ask(...args: unknown[]): Promise<unknown> {
    try {
      return await this.query(...args);
    } catch (error) {
      throw bare(error);
    }
  }

  /** What is begun by hand and never committed is not kept. */
  private async release(): Promise<void> {
    (this.runner as { isReleased: boolean }).isReleased = true;
    for (const level of [...this.own].reverse()) {
      this.forget(level);
      if (level.state === 'open' && !this.transaction.isOver) await this.transaction.undo(level);
    }
  }

  /** As TypeORM does for `await using`. */
  private async dispose(): Promise<void> {
    try {
      while (this.own.length > 0) await this.commit();
    } finally {
      await this.release();
    }
  }

  private async tell(event: string): Promise<void> {
    await (this.runner as { broadcaster?: Broadcaster }).broadcaster?.broadcast(event);
  }
}
