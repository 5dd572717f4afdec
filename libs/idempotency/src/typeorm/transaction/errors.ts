import { IdempotencyError } from '../../core/errors.js';

/** Something has asked for the database in a transaction that is over. */
export class TransactionEndedError extends IdempotencyError {
  override readonly code = 'transaction-ended';

  constructor(how: string, options?: ErrorOptions) {
    super(
      `The handler's transaction ${how}, and this was still to run in it, so it was not done. ` +
        'Await everything before the handler returns; what is to outlive it, or to last whatever becomes of it, belongs in `outsideTransaction()`.',
      options,
    );
  }
}

/** What the code in a transaction does cannot be kept together with the record, or only by guessing. */
export class TransactionMisusedError extends IdempotencyError {
  override readonly code = 'transaction-misused';
}

/** TypeORM wraps whatever its driver throws: our own errors are of more use bare. */
export function bare(error: unknown): unknown {
  for (let inner = error, depth = 0; isObject(inner) && depth < 3; inner = inner['driverError'], depth += 1)
    if (inner instanceof TransactionEndedError || inner instanceof TransactionMisusedError) return inner;
  return error;
}

/** Every error that one is made of, itself first. */
export function* chain(error: unknown): Generator<Record<string, unknown>> {
  const seen = new Set<unknown>();
  for (const waiting = [error]; waiting.length > 0 && seen.size < 20;) {
    const one = waiting.shift();
    if (!isObject(one) || seen.has(one)) continue;
    seen.add(one);
    yield one;
    waiting.push(one['driverError'], one['cause']);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

export function overlap(): TransactionMisusedError {
  return new TransactionMisusedError(
    "A nested transaction is rolled back while others write beside it on the handler's connection: their work would vanish with it, so nothing of the handler can be " +
      'committed any more. Await nested transactions one after another, and write inside one by the EntityManager that it hands over.',
  );
}

export function leftOpen(): TransactionMisusedError {
  return new TransactionMisusedError(
    'A nested transaction is still open at the end of the handler: whether its work is to last is not known, so nothing is committed. Await it, and commit or roll back what is begun by hand.',
  );
}
