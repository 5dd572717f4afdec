import type { DataSource, EntityManager, EntitySubscriberInterface, QueryRunner } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import { AFTER_COMMIT, type JoinsCommit } from '../transaction/joined-runner.js';
import { runningScope, scopeOf } from '../transaction/scope.js';

/**
 * The runner of the transaction that a message is to be added in: that of `given` when one is handed in, else that of the
 * handler that runs. `undefined`: there is no transaction. It is not to be released.
 *
 * @throws InvalidOptionsError when `given` is of another DataSource
 */
export function transactionRunner(
  dataSource: DataSource,
  given?: EntityManager | QueryRunner,
): QueryRunner | undefined {
  if (given === undefined && scopeOf(dataSource) === undefined) return undefined;
  // In the scope of a handler it is one that joins; before that has begun an ordinary one, which holds no connection yet.
  const runner = given === undefined ? dataSource.createQueryRunner() : runnerOf(given);
  if (runner === undefined) return undefined;
  if (runner.connection !== dataSource) {
    throw new InvalidOptionsError(
      'outbox.add: the `manager` is of another DataSource than the outbox, so that the message could be kept without what it tells of. Give the manager of a transaction of the DataSource that the outbox is in.',
    );
  }
  return runner.isTransactionActive ? runner : undefined;
}

/**
 * Calls `fn` once the transaction that `runner` is in has committed: once, in no transaction's scope. Never when that is rolled
 * back, nor when its commit has failed or nobody knows; and not when a nested transaction is rolled back in which it was
 * asked for. A commit by hand, in SQL, calls nobody.
 *
 * @param fn must not throw: it is too late to refuse anything
 */
export function afterCommitOf(dataSource: DataSource, runner: QueryRunner, fn: () => void): void {
  const call = () => runningScope.run(undefined, () => safely(fn));
  const joined = (runner as JoinsCommit)[AFTER_COMMIT];
  if (joined === undefined) listenerOf(dataSource).add(runner, call);
  else joined(call);
}

function runnerOf(given: EntityManager | QueryRunner): QueryRunner | undefined {
  return 'isTransactionActive' in given ? given : given.queryRunner;
}

/** Of a commit that has happened, an error would make one that has failed. */
function safely(fn: () => void): void {
  try {
    fn();
  } catch (error) {
    process.emitWarning(`What was to follow a commit has failed: ${String(error)}`);
  }
}

interface Hook {
  /** How many transactions of the runner are around it. */
  depth: number;
  readonly call: () => void;
}

type TransactionEvent = Parameters<NonNullable<EntitySubscriberInterface['afterTransactionCommit']>>[0];

/** Of TypeORM's own transactions, by what it tells subscribers. */
class CommitListener implements EntitySubscriberInterface {
  private readonly hooks = new WeakMap<QueryRunner, Hook[]>();

  add(runner: QueryRunner, call: () => void): void {
    const hooks = this.hooks.get(runner) ?? [];
    this.hooks.set(runner, [...hooks, { depth: depthOf(runner), call }]);
  }

  afterTransactionCommit({ queryRunner }: TransactionEvent): void {
    const hooks = this.hooks.get(queryRunner) ?? [];
    const depth = depthOf(queryRunner);
    if (queryRunner.isTransactionActive) {
      // A savepoint was released: they belong to what is around it.
      for (const hook of hooks) hook.depth = Math.min(hook.depth, depth);
      return;
    }
    this.hooks.delete(queryRunner);
    for (const { call } of hooks) call();
  }

  afterTransactionRollback({ queryRunner }: TransactionEvent): void {
    const depth = queryRunner.isTransactionActive ? depthOf(queryRunner) : 0;
    const kept = this.hooks.get(queryRunner)?.filter((hook) => hook.depth <= depth) ?? [];
    this.hooks.set(queryRunner, kept);
  }
}

/** Protected in TypeORM. */
function depthOf(runner: QueryRunner): number {
  return (runner as { transactionDepth?: number }).transactionDepth ?? 0;
}

const LISTENERS = new WeakMap<DataSource, CommitListener>();

function listenerOf(dataSource: DataSource): CommitListener {
  const listener = LISTENERS.get(dataSource) ?? new CommitListener();
  LISTENERS.set(dataSource, listener);
  // A DataSource that is initialized again has other subscribers.
  if (!dataSource.subscribers.includes(listener)) dataSource.subscribers.push(listener);
  return listener;
}
