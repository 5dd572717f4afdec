import type { IdempotencyStorage } from 'nestjs-idempotent';
import { crashPointsAreArmed, registerWait, withCrashPoints } from './crash-points.js';

type StorageTransactions = Exclude<ReturnType<NonNullable<IdempotencyStorage['transactions']>>, string>;
type StorageTransaction = ReturnType<StorageTransactions['open']>;

/** Names of the methods that give a promise. */
type Waits<T> = {
  [Name in keyof T]-?: NonNullable<T[Name]> extends (...args: never[]) => infer Result
    ? Result extends Promise<unknown>
      ? Name
      : never
    : never;
}[keyof T];

/**
 * Whether a request may wait for it. All of them are here: the compiler refuses this list when the interface gets
 * another one, or loses one.
 */
const STORAGE: Record<Waits<IdempotencyStorage>, boolean> = {
  claim: true,
  renew: true,
  complete: true,
  release: true,
  saveStep: true,
  waitForChange: true,
  start: false,
  stop: false,
  get: false, // operators and health checks
  forget: false,
  purgeExpired: false,
};

const TRANSACTION: Record<Waits<StorageTransaction>, boolean> = {
  begin: true,
  complete: true,
  commit: true,
  rollback: true,
  close: true,
};

for (const name of waitedFor(STORAGE)) registerWait(`storage.${name}`);
for (const name of waitedFor(TRANSACTION)) registerWait(`transaction.${name}`);

/**
 * The library's own waits on the way of a request: whatever survives a crash is in the storage, so the points stand
 * around each of its calls. Without `CRASH_AT` it is the storage itself.
 */
export function storageWithCrashPoints(storage: IdempotencyStorage): IdempotencyStorage {
  if (!crashPointsAreArmed) return storage;
  return around(storage, 'storage', waitedFor(STORAGE), {
    transactions() {
      const transactions = storage.transactions?.() ?? 'This storage knows no transactions.';
      return typeof transactions === 'string' ? transactions : transactionsWithPoints(transactions);
    },
  });
}

const transactionsWithPoints = (transactions: StorageTransactions): StorageTransactions => ({
  isolations: transactions.isolations,
  outside: (fn) => transactions.outside(fn),
  open: (isolation) => around(transactions.open(isolation), 'transaction', waitedFor(TRANSACTION), {}),
});

/** `instead` stands for members that are no waits themselves, but lead to some. */
function around<T extends object>(target: T, name: string, waits: readonly string[], instead: Partial<T>): T {
  return new Proxy(target, {
    get(_target, property) {
      if (typeof property === 'string' && property in instead && property in target)
        return instead[property as keyof T];
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const method = (value as (...args: unknown[]) => Promise<unknown>).bind(target);
      return typeof property === 'string' && waits.includes(property)
        ? withCrashPoints(`${name}.${property}`, method)
        : method;
    },
  });
}

function waitedFor(methods: Record<string, boolean>): string[] {
  return Object.keys(methods).filter((name) => methods[name]);
}
