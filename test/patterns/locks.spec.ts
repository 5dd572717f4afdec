import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { IdempotencyException, memoryStorage, type IdempotencyService } from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import type { DataSource } from 'typeorm';
import { codeOf, startService } from '../http/support/services.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { usePostgres } from '../support/postgres-fixture.js';
import { useRedis } from '../support/redis-fixture.js';
import { holdElsewhere } from './support/lock-process.js';
import { storageOf, type StorageAddress } from './support/lock-storages.js';

const redis = useRedis({ emptyBeforeEach: false });
const postgres = usePostgres();
const mariadb = useMariaDb();

let dataSource: DataSource;
let inMemory: ReturnType<typeof memoryStorage> | undefined;
const keysInRedis = async () => (await redis.admin.keys('shop%lock|*')).length;
/** MariaDB leaves a row without a time to live, which the purge takes. */
const rows = async (app: IdempotencyService) => {
  await app.purgeExpired();
  const [row] = await dataSource.query('select count(*) as count from idempotency_records');
  return Number(row.count);
};

/** What another process needs to connect. */
const addressOf = ({ options }: DataSource) =>
  ({ ...options, migrations: [], migrationsRun: false }) as DataSource['options'];

interface Shared {
  readonly name: string;
  open(): Promise<StorageAddress>;
  /** What of all locks is in the storage now. */
  left(app: IdempotencyService): Promise<number>;
}

const shared: readonly Shared[] = [
  {
    name: 'Redis',
    open: async () => ({ kind: 'redis', url: redis.server.url }),
    left: keysInRedis,
  },
  {
    name: 'PostgreSQL',
    open: async () => ({ kind: 'typeorm', options: addressOf((dataSource = await postgres.migrated())) }),
    left: rows,
  },
  {
    name: 'MariaDB',
    open: async () => ({ kind: 'typeorm', options: addressOf((dataSource = await mariadb.migrated())) }),
    left: rows,
  },
];

/** Two apps over one storage. */
async function twoApps(
  address: StorageAddress | undefined,
): Promise<[IdempotencyService, IdempotencyService]> {
  inMemory = memoryStorage();
  const start = async () =>
    startService({ namespace: 'shop', storage: address === undefined ? inMemory : await storageOf(address) });
  return [await start(), await start()];
}

/** Reads, gives others the time to do the same, writes. */
function counter() {
  let value = 0;
  return {
    add: async () => {
      const read = value;
      await sleep(1); // as long as a question to a database
      value = read + 1;
    },
    get value() {
      return value;
    },
  };
}

const memory = {
  name: 'memory',
  open: async () => undefined,
  left: async () => {
    const ids: string[] = [];
    for await (const { id } of inMemory?.find({ idPrefix: '' }) ?? []) ids.push(id);
    return ids.length;
  },
};

describe.each([memory, ...shared])('withLock on $name', ({ open, left }) => {
  it('lets one of 50 work at a time, from two apps; without it they overwrite one another', async () => {
    const apps = await twoApps(await open());
    const [alone, locked] = [counter(), counter()];
    const fifty = Array.from({ length: 50 }, (_, at) => apps[at % 2] as IdempotencyService);

    await Promise.all(fifty.map(() => alone.add()));
    await Promise.all(fifty.map((app) => app.withLock('counter', { wait: '25s' }, () => locked.add())));

    expect(alone.value).toBeLessThan(50);
    expect(locked.value).toBe(50);
    expect(await left(apps[0])).toBe(0);
  });

  it('refuses whoever comes meanwhile, here and elsewhere, with lock-held; other names are free', async () => {
    const [app, other] = await twoApps(await open());
    const gate = new Gate();
    const held = app.withLock('user:1', {}, () => gate.pass());
    await gate.reached();

    expect(await codeOf(app.withLock('user:1', {}, () => 'never'))).toBe('lock-held');
    expect(await codeOf(other.withLock('user:1', {}, () => 'never'))).toBe('lock-held');
    expect(await other.withLock('user:2', {}, () => 'free')).toBe('free');
    gate.open();
    await held;
    expect(await other.withLock('user:1', {}, () => 'free')).toBe('free');
  });

  it('gives it to exactly one of those who wait, and refuses them when their time is up', async () => {
    const [app, other] = await twoApps(await open());
    const first = new Gate();
    const held = app.withLock('user:1', {}, () => first.pass());
    await first.reached();
    let working = 0;
    const second = new Gate();
    const waiters = [app, app, other, other].map((service) =>
      service.withLock('user:1', { wait: '400ms' }, async () => {
        working += 1;
        await second.pass();
        return 'worked';
      }),
    );
    const ended = Promise.all(waiters.map(async (waiter) => codeOf(waiter)));
    first.open();
    await held;

    await second.reached();
    expect(working).toBe(1);
    await sleep(450); // longer than the others wait
    second.open();
    expect((await ended).sort()).toEqual(['lock-held', 'lock-held', 'lock-held', 'none']);
    expect(working).toBe(1);
  });

  it('is freed when the work throws, which is thrown as it is', async () => {
    const [app, other] = await twoApps(await open());
    const failure = new Error('the service is away');

    await expect(app.withLock('user:1', {}, () => Promise.reject(failure))).rejects.toBe(failure);
    await expect(
      app.withLock('user:1', {}, () => {
        throw failure;
      }),
    ).rejects.toBe(failure);
    expect(await other.withLock('user:1', {}, () => 'free')).toBe('free');
  });

  it('is no record: it does not meet one of the same words, and nobody who looks over records sees it', async () => {
    const [app] = await twoApps(await open());
    const gate = new Gate();
    const held = app.withLock('lock', {}, () => gate.pass());
    await gate.reached();

    const operation = { operation: 'lock', key: 'lock' };
    expect((await app.run(operation, () => 'ran')).value).toBe('ran');
    expect((await app.run({ ...operation, scope: 'lock' }, () => 'ran')).value).toBe('ran');
    const seen: string[] = [];
    for await (const { id } of app.find()) seen.push(id);
    expect(seen.sort()).toEqual(
      [app.recordId(operation), app.recordId({ ...operation, scope: 'lock' })].sort(),
    );
    gate.open();
    await held;
  });

  it('leaves nothing behind after a hundred', async () => {
    const [app] = await twoApps(await open());
    for (let at = 0; at < 100; at += 1) await app.withLock(`user:${at}`, {}, () => {});
    expect(await left(app)).toBe(0);
  });
});

describe('a process that holds locks on Redis, PostgreSQL and MariaDB', () => {
  const namespace = `shop-${randomUUID()}`;
  const lease = '1s';
  let storages: readonly { address: StorageAddress; left: Shared['left'] }[];
  let [killed, stopped]: (Awaited<ReturnType<typeof holdElsewhere>> | undefined)[] = [];
  // One start for all three of them: it takes a process seconds to compile the sources.
  beforeAll(async () => {
    storages = await Promise.all(shared.map(async ({ open, left }) => ({ address: await open(), left })));
    const addresses = storages.map(({ address }) => address);
    [killed, stopped] = await Promise.all([
      holdElsewhere(addresses, { namespace, name: 'killed', lease }),
      holdElsewhere(addresses, { namespace, name: 'stopped', lease }),
    ]);
  }, 120_000);
  afterAll(() => Promise.all([killed?.kill(), stopped?.kill()]));
  const start = async ({ address }: { address: StorageAddress }) =>
    startService({ namespace, storage: await storageOf(address) });

  it('keeps them beyond their lease as long as it lives; killed, it frees them when the lease is over', async () => {
    const apps = await Promise.all(storages.map(start));
    await sleep(1500); // the lease is counted by the servers, and was renewed
    for (const app of apps) expect(await codeOf(app.withLock('killed', {}, () => 'never'))).toBe('lock-held');

    await killed?.kill();
    const since = performance.now();
    const waits = apps.map(async (app) => app.withLock('killed', { wait: '10s' }, () => performance.now()));
    for (const took of await Promise.all(waits)) expect(took - since).toBeLessThan(2500);
  });

  it('and stands still beyond their lease does not release those of who came after it', async () => {
    const apps = await Promise.all(storages.map(start));
    stopped?.signal('SIGSTOP');
    const gate = new Gate();
    const successors = apps.map(async (app) =>
      app.withLock('stopped', { wait: '10s' }, async ({ signal }) => {
        await gate.pass();
        return signal.aborted;
      }),
    );
    await gate.reached(apps.length);

    stopped?.signal('SIGCONT');
    await sleep(500); // it renews at once, and is told that it has lost them
    for (const app of await Promise.all(storages.map(start)))
      expect(await codeOf(app.withLock('stopped', {}, () => 'never'))).toBe('lock-held');
    gate.open();
    expect(await Promise.all(successors)).toEqual([false, false, false]);
  });
});

describe('the storage of a lock', () => {
  it('holds only a hash of its name', async () => {
    const app = await startService({
      namespace: 'shop',
      storage: await storageOf({ kind: 'redis', url: redis.server.url }),
    });
    const keys = await app.withLock('user:ada@example.com', {}, () => redis.admin.keys('shop%lock*'));
    expect(keys).toEqual([expect.stringMatching(/^shop%lock\|[\w-]{43}$/)]);
  });

  it('that is down refuses the work with storage-unavailable, also where routes would run unprotected', async () => {
    const storage = faultyStorage(memoryStorage());
    const app = await startService({ storage, storageTimeout: '100ms', onStorageFailure: 'run' });
    storage.rejectNext('claim', Infinity);

    const refused: unknown = await app.withLock('user:1', {}, () => 'never').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(IdempotencyException);
    expect(refused).toMatchObject({ code: 'storage-unavailable', headers: { 'Retry-After': '1' } });
    storage.heal();
    expect(await app.withLock('user:1', {}, () => 'done')).toBe('done');
  });

  it('is asked over connections of its own: also with the last one of the pool in a transaction', async () => {
    const pool = { extra: { max: 1, connectionTimeoutMillis: 1000 } };
    const source = await postgres.migrated(pool);
    const app = await startService({
      namespace: 'shop',
      storage: typeOrmStorage({ dataSource: source, purgeEvery: false }),
    });

    const work = source.transaction(async (manager) => {
      const [row] = await app.withLock('user:1', {}, () =>
        manager.query<{ one: number }[]>('select 1 as one'),
      );
      return row?.one;
    });

    expect(await work).toBe(1);
  });
});
