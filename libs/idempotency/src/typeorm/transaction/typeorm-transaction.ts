import type { EntityManager, QueryRunner } from 'typeorm';
import type { Claim, OwnerOutcome } from '../../core/idempotency-storage.js';
import type { StorageTransaction } from '../../core/transaction.js';
import { unavailable } from '../unavailable.js';
import { chain, TransactionEndedError, TransactionMisusedError } from './errors.js';
import { refusedEnd } from './refused-end.js';
import { JoinedRunner, memberOf, type Standpoint } from './joined-runner.js';
import type { JoinedDataSource } from './joined-data-source.js';
import { Level } from './levels.js';
import { OpenTransaction, type TransactionTerms } from './open-transaction.js';
import { outsideTransaction, runningScope, scopeOf, type NestedRequest, type Scope } from './scope.js';

/** The transaction of one run of a handler, on a connection of the application's pool. */
export class TypeOrmTransaction implements StorageTransaction {
  private open: OpenTransaction | undefined;
  /** While the pool is asked: counts attempts, so that an end meanwhile is noticed. */
  private ends = 0;
  private isBeginning = false;
  private readonly managers = new WeakMap<OpenTransaction, EntityManager>();
  /** Entered after it had begun: what runs there is of that one, and of none that begins later. */
  private readonly begunBefore = new WeakMap<Scope, OpenTransaction>();

  constructor(
    private readonly source: JoinedDataSource,
    private readonly terms: TransactionTerms,
  ) {}

  enter<T>(fn: () => T): T {
    const { open } = this;
    const scope = this.scope(undefined, runningScope.getStore());
    if (open?.isOver === false) this.begunBefore.set(scope, open);
    return runningScope.run(scope, fn);
  }

  leave<T>(fn: () => T): T {
    return outsideTransaction(fn);
  }

  async begin(): Promise<void> {
    if (this.isBeginning || this.open?.isOver === false) {
      throw new TransactionMisusedError('The transaction of this handler has begun already.');
    }
    const { ends } = this;
    this.isBeginning = true;
    try {
      // A connection that is made for it tells later owners of it what it has read, from where it was made.
      const open = await outsideTransaction(() =>
        OpenTransaction.begin(this.source.ordinaryRunner(), this.terms),
      );
      if (ends !== this.ends) {
        await open.close();
        throw new TransactionEndedError('has ended before it began');
      }
      this.open = open;
    } catch (error) {
      if (error instanceof TransactionEndedError) throw error;
      throw unavailable(this.terms.dialect.server, 'the begin of a transaction', error);
    } finally {
      this.isBeginning = false;
    }
  }

  get manager(): EntityManager {
    const open = this.openIn(scopeOf(this.source.dataSource));
    if (open === undefined) {
      throw new TransactionMisusedError(
        'The handler has not begun, so there is no transaction yet. Use the EntityManager inside the handler.',
      );
    }
    const made =
      this.managers.get(open) ?? this.join(open, this.source.ordinaryRunner(), open.levels.root).manager;
    this.managers.set(open, made);
    return made;
  }

  async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    return this.ended(() => this.begun().complete(claim, result, ttlMs));
  }

  async commit(): Promise<void> {
    return this.ended(() => this.begun().commit());
  }

  async rollback(): Promise<void> {
    this.ends += 1;
    await this.open?.rollback();
  }

  async close(): Promise<void> {
    this.ends += 1;
    await this.open?.close();
  }

  isConflict(error: unknown): boolean {
    for (const one of chain(error)) if (this.terms.dialect.isConflict(one)) return true;
    return false;
  }

  private async ended<T>(end: () => Promise<T>): Promise<T> {
    try {
      return await end();
    } catch (error) {
      throw refusedEnd(this.terms.dialect.server, error);
    }
  }

  /** Not the one of a second try where the first one still runs: its writes are undone, and must not come back there. */
  private openIn(scope: Scope | undefined): OpenTransaction | undefined {
    return (scope && this.begunBefore.get(scope)) ?? this.open;
  }

  private begun(): OpenTransaction {
    if (this.open !== undefined) return this.open;
    throw new TransactionMisusedError('The transaction of this handler has not begun.');
  }

  private scope(level: Level | undefined, outer: Scope | undefined): Scope {
    return {
      dataSource: this.source.dataSource,
      outer,
      level,
      createRunner: (ordinary, scope) => {
        const open = this.openIn(scope);
        return open === undefined
          ? ordinary()
          : this.join(open, ordinary(), this.levelOf(open, scope)).runner;
      },
      nest: (manager, request, scope) => {
        const open = this.openIn(scope);
        const isOrdinary = manager.queryRunner !== undefined && memberOf(manager.queryRunner) === undefined;
        return open === undefined || isOrdinary ? undefined : this.nest(open, manager, request, scope);
      },
    };
  }

  /** As an EntityManager's `transaction`, on a savepoint. */
  private async nest(
    open: OpenTransaction,
    manager: EntityManager,
    { isolation, work }: NestedRequest,
    scope: Scope,
  ): Promise<unknown> {
    open.assertOpen();
    const caller = memberOf(manager.queryRunner);
    const here = this.levelOf(open, scope);
    const theirs = caller?.level();
    const home = theirs === undefined || here.isWithin(theirs) ? here : theirs;
    const member = this.join(open, this.source.ordinaryRunner(), home);
    if (manager.queryRunner !== undefined) member.runner.data = manager.queryRunner.data;
    try {
      const level = await member.beginAround(isolation);
      try {
        const inner = this.scope(level, scope.outer);
        this.begunBefore.set(inner, open);
        const result = await runningScope.run(inner, () => work(member.manager));
        await member.runner.commitTransaction();
        return result;
      } catch (error) {
        // What went wrong first is of more use than that it could not be undone; nothing can be committed then.
        await member.runner.rollbackTransaction().catch(() => undefined);
        throw error;
      }
    } finally {
      await member.runner.release();
    }
  }

  private join(open: OpenTransaction, runner: QueryRunner, home: Level): JoinedRunner {
    const standpoint: Standpoint = {
      level: () => this.levelOf(open, scopeOf(this.source.dataSource)),
    };
    return new JoinedRunner(runner, open, home, standpoint);
  }

  /** As it was entered, over or not. A scope of another transaction has no level in this one. */
  private levelOf(open: OpenTransaction, scope: Scope | undefined): Level {
    const level = scope?.level;
    const isOfThis = level instanceof Level && level.isWithin(open.levels.root);
    return isOfThis ? level : open.levels.root;
  }
}
