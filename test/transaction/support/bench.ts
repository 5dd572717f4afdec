import { afterAll, beforeAll, describe } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { DataSource, EntitySchema, type Repository } from 'typeorm';
import { DataSource as DataSource03, EntitySchema as EntitySchema03 } from 'typeorm-0.3';
import type {
  Claim,
  IdempotencyStorage,
  OwnerOutcome,
  StorageHost,
} from '../../../libs/idempotency/src/core/idempotency-storage.js';
import type {
  StorageTransaction,
  StorageTransactions,
} from '../../../libs/idempotency/src/core/transaction.js';
import { useMariaDb } from '../../support/mariadb-fixture.js';
import { claimRequest, usePostgres } from '../../support/postgres-fixture.js';

export const HOUR_MS = 3_600_000;

export interface Note {
  id: number;
  text: string;
}

export type DatabaseName = 'PostgreSQL' | 'MariaDB';
export type TypeOrmVersion = '1.x' | '0.3';

/** An application's database with a table of notes, no two of which are alike, and the storage over it. */
export interface Bench {
  readonly database: DatabaseName;
  readonly version: TypeOrmVersion;
  readonly dataSource: DataSource;
  /** Of somebody else, to look at what is committed. */
  readonly outside: DataSource;
  readonly notes: Repository<Note>;
  readonly storage: IdempotencyStorage;
  readonly transactions: StorageTransactions;
  /** Statement texts of either. */
  sql(texts: { readonly PostgreSQL: string; readonly MariaDB: string }): string;
  /** What is committed, in order. */
  committed(): Promise<readonly string[]>;
  /** Claims a new key. */
  claim(): Promise<Claim>;
  /** As the engine does around a handler. */
  run<T>(handler: (transaction: StorageTransaction) => Promise<T>, options?: RunOptions): Promise<Ran<T>>;
  /** Another storage over another DataSource like this one. */
  another(options?: Partial<AnyOptions>, host?: StorageHost): Promise<Bench>;
}

export interface RunOptions {
  readonly isolation?: string;
  readonly claim?: Claim;
}

export interface Ran<T> {
  readonly claim: Claim;
  readonly value: T;
  readonly outcome: OwnerOutcome;
}

type AnyOptions = Record<string, unknown>;

const noteColumns = {
  id: { type: 'int', primary: true, generated: 'increment' },
  text: { type: 'varchar', length: 100, unique: true },
} as const;
const Note1 = new EntitySchema<Note>({ name: 'Note', tableName: 'notes', columns: noteColumns });
const Note03 = new EntitySchema03<Note>({ name: 'Note', tableName: 'notes', columns: noteColumns });

/** One of each for a whole spec file. */
const servers: { PostgreSQL?: ReturnType<typeof usePostgres>; MariaDB?: ReturnType<typeof useMariaDb> } = {};

/** A suite per database and version of TypeORM. */
export function describeBenches(
  tests: (bench: Bench) => void,
  combinations: readonly (readonly [DatabaseName, TypeOrmVersion])[] = [
    ['PostgreSQL', '1.x'],
    ['PostgreSQL', '0.3'],
    ['MariaDB', '1.x'],
    ['MariaDB', '0.3'],
  ],
): void {
  const databases = new Set(combinations.map(([database]) => database));
  if (databases.has('PostgreSQL')) servers.PostgreSQL ??= usePostgres();
  if (databases.has('MariaDB')) servers.MariaDB ??= useMariaDb();
  describe.each(combinations)('%s with TypeORM %s', (database, version) => {
    const fixture = servers[database];
    const opened: DataSource[] = [];
    const bench = {} as Bench;
    const open = async (options: Partial<AnyOptions>, host?: StorageHost): Promise<Bench> => {
      const outside = (await fixture?.migrated()) as DataSource;
      const all = {
        ...outside.options,
        poolSize: 5,
        migrations: [],
        migrationsRun: false,
        synchronize: true,
      };
      const dataSource =
        version === '1.x'
          ? new DataSource({ ...all, entities: [Note1], ...options } as never)
          : (new DataSource03({ ...all, entities: [Note03], ...options } as never) as unknown as DataSource);
      await dataSource.initialize();
      opened.push(dataSource);
      const storage = (await fixture?.storage({ dataSource }, host)) as IdempotencyStorage;
      const transactions = storage.transactions?.();
      if (typeof transactions !== 'object') throw new Error(String(transactions));
      return benchOver({ database, version, dataSource, outside, storage, transactions, another: open });
    };
    beforeAll(async () => {
      Object.assign(bench, await open({}));
    }, 30_000);
    afterAll(async () => {
      await Promise.all(opened.filter((one) => one.isInitialized).map((one) => one.destroy()));
    });
    tests(bench);
  });
}

function benchOver(
  parts: Pick<
    Bench,
    'database' | 'version' | 'dataSource' | 'outside' | 'storage' | 'transactions' | 'another'
  >,
): Bench {
  const { database, dataSource, outside, storage, transactions } = parts;
  const claim = async (): Promise<Claim> => {
    const request = claimRequest();
    const made = { id: `test|transaction|${randomUUID()}`, ownerToken: request.ownerToken };
    await storage.claim(made.id, request);
    return made;
  };
  return {
    ...parts,
    notes: dataSource.getRepository<Note>('Note'),
    sql: (texts) => texts[database],
    async committed() {
      const rows: Note[] = await outside.query('select text from notes order by id');
      return rows.map(({ text }) => text);
    },
    claim,
    async run(handler, options = {}) {
      const owned = options.claim ?? (await claim());
      const transaction = transactions.open(options.isolation);
      try {
        return await transaction.enter(async () => {
          await transaction.begin();
          const value = await handler(transaction);
          const outcome = await transaction.complete(owned, Buffer.from('done'), HOUR_MS);
          if (outcome === 'applied') await transaction.commit();
          return { claim: owned, value, outcome };
        });
      } finally {
        await transaction.close();
      }
    },
  };
}
