import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { scopeOf } from './scope.js';

type Method = (...args: never[]) => unknown;

interface Joined {
  users: number;
  /** As TypeORM makes them, in or out of a transaction. */
  ordinaryRunner(mode?: 'master' | 'slave'): QueryRunner;
  restore(): void;
}

/** On the DataSource, so that it is changed once, also by two copies of the library. */
const JOINED = Symbol.for('nestjs-idempotent:joined-data-source');

/**
 * Lets whatever runs in a transaction join it: from now on the DataSource asks the scope first when somebody wants a query
 * runner or a nested transaction. Without a scope everything is as before.
 */
export class JoinedDataSource {
  private readonly joined: Joined;
  private left = false;

  constructor(readonly dataSource: DataSource) {
    const holder = dataSource as { [JOINED]?: Joined };
    this.joined = holder[JOINED] ??= join(dataSource, () => delete holder[JOINED]);
    this.joined.users += 1;
  }

  ordinaryRunner(): QueryRunner {
    return this.joined.ordinaryRunner('master');
  }

  /** The last one to leave puts everything back. */
  leave(): void {
    if (this.left) return;
    this.left = true;
    this.joined.users -= 1;
    if (this.joined.users === 0) this.joined.restore();
  }
}

function join(dataSource: DataSource, forget: () => void): Joined {
  const createRunner = dataSource.createQueryRunner.bind(dataSource);
  const createManager = dataSource.createEntityManager.bind(dataSource);
  const undo = [
    override(dataSource, 'createQueryRunner', (mode?: 'master' | 'slave') => {
      const scope = scopeOf(dataSource);
      // What a request has written is on its own connection alone, so a reader goes there as well, not to a replica.
      return scope === undefined
        ? createRunner(mode)
        : scope.createRunner(() => createRunner('master'), scope);
    }),
    override(dataSource, 'createEntityManager', (runner?: QueryRunner) => {
      const manager = createManager(runner);
      nestTransactionsOf(manager, dataSource);
      return manager;
    }),
    nestTransactionsOf(dataSource.manager, dataSource),
  ];
  return {
    users: 0,
    ordinaryRunner: createRunner,
    restore() {
      // Somebody has wrapped ours since: it stays below, and finds no scope.
      if (undo.every((one) => one.possible())) {
        forget();
        for (const one of undo) one.run();
      }
    },
  };
}

/** A function around which a savepoint can be put, instead of TypeORM's, whose names are alike in transactions side by side. */
function nestTransactionsOf(manager: EntityManager, dataSource: DataSource) {
  const ordinary = manager.transaction as (...args: unknown[]) => Promise<unknown>;
  return override(manager, 'transaction', (...args: unknown[]) => {
    const work = args.find((one) => typeof one === 'function');
    const scope = scopeOf(dataSource);
    if (scope !== undefined && work !== undefined) {
      const isolation = typeof args[0] === 'string' ? args[0] : undefined;
      const nested = scope.nest(manager, { isolation, work: work as () => unknown }, scope);
      if (nested !== undefined) return nested;
    }
    return ordinary.apply(manager, args);
  });
}

function override<T extends object>(target: T, name: keyof T, method: Method) {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { value: method, configurable: true, writable: true });
  return {
    possible: () => target[name] === method,
    run() {
      if (before === undefined) delete target[name];
      else Object.defineProperty(target, name, before);
    },
  };
}
