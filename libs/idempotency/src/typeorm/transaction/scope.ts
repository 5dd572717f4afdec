import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntityManager, QueryRunner } from 'typeorm';

/** What code finds that runs in a transaction: how to join it. Shared by copies of the library, so it names no class. */
export interface Scope {
  readonly dataSource: object;
  /** Transactions of other DataSources, in which the code runs as well. */
  readonly outer: Scope | undefined;
  /** Instead of the DataSource: a runner that joins, or an ordinary one where there is nothing to join yet. */
  createRunner(ordinary: () => QueryRunner, scope: Scope): QueryRunner;
  /** Instead of an EntityManager's `transaction`: a savepoint, or `undefined` where there is nothing to join. */
  nest(manager: EntityManager, request: NestedRequest, scope: Scope): Promise<unknown> | undefined;
  /** The nested transaction that the code runs in; belongs to whoever made the scope. */
  readonly level: unknown;
}

export interface NestedRequest {
  readonly isolation: string | undefined;
  readonly work: (manager: EntityManager) => unknown;
}

const SHARED = Symbol.for('nestjs-idempotent:transaction-scope');
const holder = globalThis as { [SHARED]?: AsyncLocalStorage<Scope | undefined> };

/** One per process, also when the package is loaded twice. */
export const runningScope: AsyncLocalStorage<Scope | undefined> = (holder[SHARED] ??=
  new AsyncLocalStorage());

export function scopeOf(dataSource: object): Scope | undefined {
  for (let scope = runningScope.getStore(); scope !== undefined; scope = scope.outer)
    if (scope.dataSource === dataSource) return scope;
  return undefined;
}

/**
 * Runs `fn` outside of the handler's transaction: what it and everything it calls does in the database goes its ordinary
 * way, on a connection of its own, and lasts whatever becomes of the handler.
 *
 * For what must be kept also when the handler fails (an audit trail), and for whatever outlives the handler: timers,
 * workers and caches that are set up on first use.
 *
 * It needs a second connection of the pool while the handler holds its own: a pool of which every connection is held by
 * a handler that waits for this stands still.
 */
export function outsideTransaction<T>(fn: () => T): T {
  return runningScope.run(undefined, fn);
}
