import { finalize, isObservable } from 'rxjs';
import { StorageUnavailableError } from '../core/errors.js';
import type { Run } from '../core/run.js';
import type { StorageTransaction } from '../core/transaction.js';
import { Work } from '../core/work.js';
import type { HandlerValue } from '../http/late-outcome.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import type { Problems } from './problems.js';
import { NotBegun } from './recover.js';
import type { ResolvedOptions } from './resolve-options.js';
import { settle, shown } from './settle.js';
import { stepsOf } from './step-tools.js';
import type { Transport } from './transports.js';

/**
 * What a run does, with a transaction around it where its operation asks for one.
 *
 * @throws IdempotencyException `record-unreadable`
 */
export function workOf(
  runtime: IdempotencyRuntime,
  run: Run,
  options: Pick<ResolvedOptions, 'transactional'>,
  transport: Transport,
  transaction = transactionFor(runtime, options),
): Work {
  return new Work(run, stepsOf(runtime, run, transport, transaction), transaction);
}

/** Takes no connection yet. Undefined where the operation asks for none. */
export function transactionFor(
  runtime: IdempotencyRuntime,
  { transactional }: Pick<ResolvedOptions, 'transactional'>,
): StorageTransaction | undefined {
  return transactional ? runtime.transactions?.open(transactional.isolation) : undefined;
}

/**
 * Runs the handler, in its transaction if it has one, and waits until it has settled.
 *
 * @throws NotBegun when it did not run
 */
export async function runHandler(
  work: Work,
  problems: Problems,
  handler: () => unknown,
): Promise<HandlerValue> {
  await begin(work, problems);
  try {
    return await work.enter(() => settle(handler()));
  } catch (error) {
    // What it says of writes that were undone under it is not about the request.
    throw work.isConflict(error) || work.isUndone ? problems.commitFailed(error) : error;
  } finally {
    work.settled();
  }
}

/**
 * The same for those who listen to an Observable by themselves: it has settled when that has ended. In a transaction it is
 * waited for here, as everywhere.
 *
 * @throws NotBegun when it did not run
 */
export async function startHandler(work: Work, problems: Problems, handler: () => unknown): Promise<unknown> {
  if (work.hasTransaction) return shown(await runHandler(work, problems, handler));
  await begin(work, problems);
  let isOpen = false;
  try {
    const result: unknown = await handler();
    isOpen = isObservable(result);
    return isObservable(result) ? result.pipe(finalize(() => work.settled())) : result;
  } finally {
    if (!isOpen) work.settled();
  }
}

async function begin(work: Work, problems: Problems): Promise<void> {
  let inTime: boolean;
  try {
    inTime = await work.begin();
  } catch (error) {
    throw new NotBegun(error instanceof StorageUnavailableError ? problems.storageUnavailable(error) : error);
  }
  if (!inTime) throw new NotBegun(problems.keyInProgress(0));
}
