import { InvalidOptionsError } from '../core/errors.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import type { StorageTransactions } from '../core/transaction.js';

/** `transactional` as the code uses it. */
export interface TransactionalOption {
  /** Undefined: the database's own default. */
  readonly isolation: string | undefined;
}

/** Options that promise something which no transaction can hold. */
interface Neighbours {
  readonly required: boolean;
  readonly onStorageFailure: 'reject' | 'run';
}

/** @throws InvalidOptionsError for a value of the wrong kind, or one that the options beside it contradict */
export function transactionalOf(given: unknown, beside: Neighbours): TransactionalOption | undefined {
  if (given === false) return undefined;
  const isolation: unknown =
    given === true ? undefined : (given as { isolation?: unknown } | null)?.isolation;
  const isObject =
    isRecord(given) && Object.keys(given).join() === 'isolation' && typeof isolation === 'string';
  if (given !== true && !isObject) {
    throw new InvalidOptionsError(
      "`transactional` must be true, false or `{ isolation: 'SERIALIZABLE' }`: a level that the database knows.",
    );
  }
  // A handler that is written for one transaction is not run without one, its writes one by one.
  if (!beside.required) {
    throw new InvalidOptionsError(
      '`transactional` is given, and `required` is false: a request without a key has no record, so its writes would not be in one transaction. Require the key, or remove `transactional`.',
    );
  }
  if (beside.onStorageFailure === 'run') {
    throw new InvalidOptionsError(
      "`transactional` is given, and `onStorageFailure` is 'run': a handler that runs unprotected has no transaction. Remove one of them.",
    );
  }
  return { isolation: isolation as string | undefined };
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Where `transactional` was asked for, for messages. */
export interface TransactionalPlace extends TransactionalOption {
  readonly where: string;
}

/**
 * The transactions of a storage that has started; undefined when nobody asks for them.
 *
 * @throws InvalidOptionsError for a storage that cannot promise them
 */
export function transactionsOf(
  storage: IdempotencyStorage,
  places: readonly TransactionalPlace[],
): StorageTransactions | undefined {
  const [first] = places;
  const offered = storage.transactions?.();
  if (first === undefined) return typeof offered === 'string' ? undefined : offered;
  if (offered === undefined || typeof offered === 'string')
    throw impossible(first.where, storage.name, offered);
  for (const { where, isolation } of places) {
    if (isolation !== undefined && !offered.isolations.includes(isolation)) {
      throw new InvalidOptionsError(
        `${where}: \`transactional.isolation\` is '${isolation}'; it must be ${offered.isolations.map((each) => `'${each}'`).join(', ')}.`,
      );
    }
  }
  return offered;
}

function impossible(where: string, storage: string, reason: string | undefined): InvalidOptionsError {
  return new InvalidOptionsError(
    `${where}: \`transactional\` needs a storage that can commit the record with the handler's writes, and \`${storage}\` cannot do that. ` +
      (reason ??
        'Use `typeOrmStorage()` over the database of these writes; or remove `transactional`, and let a unique constraint be the second line of defence.'),
  );
}
