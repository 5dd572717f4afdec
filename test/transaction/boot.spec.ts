import { describe, expect, it } from '@jest/globals';
import { memoryStorage, type IdempotencyModuleOptions } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { boot, mistakeOf, withModule, withRoute } from '../http/support/boot.js';
import { usePostgres } from '../support/postgres-fixture.js';
import { useRedis } from '../support/redis-fixture.js';
import { useSqlite } from '../support/sqlite-fixture.js';

const postgres = usePostgres();
const redis = useRedis();
const sqlite = useSqlite();
const ROUTE = '@Idempotent() on OrdersController.create';

async function overPostgres(): Promise<IdempotencyModuleOptions> {
  const dataSource = await postgres.migrated();
  return { namespace: 'shop', storage: typeOrmStorage({ dataSource, purgeEvery: false }) };
}

describe('`transactional` at boot', () => {
  it('is refused on memory and on Redis, with the place and the mend', async () => {
    const { url } = redis.server;
    const storages = { memory: memoryStorage(), redis: redisStorage({ url }) };
    for (const [name, storage] of Object.entries(storages)) {
      const mistake = await mistakeOf(() =>
        withRoute({ transactional: true }, { namespace: 'shop', storage }),
      );
      expect(mistake).toContain(`${ROUTE}: \`transactional\` needs a storage`);
      expect(mistake).toContain(`\`${name}\` cannot do that. Use \`typeOrmStorage()\``);
    }
  });

  it('is refused on SQLite, with the reason', async () => {
    const dataSource = await sqlite.migrated();
    const storage = typeOrmStorage({ dataSource, purgeEvery: false });
    const mistake = await mistakeOf(() => withRoute({ transactional: true }, { namespace: 'shop', storage }));
    expect(mistake).toContain(`${ROUTE}: \`transactional\` needs a storage`);
    expect(mistake).toMatch(/SQLite.*PostgreSQL/s);
  });

  it('is refused for an isolation that the database does not know', async () => {
    const options = await overPostgres();
    expect(await mistakeOf(() => withRoute({ transactional: { isolation: 'SNAPSHOT' } }, options))).toBe(
      `${ROUTE}: \`transactional.isolation\` is 'SNAPSHOT'; it must be 'READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'.`,
    );
  });

  it.each([['yes'], [1], [{}], [{ isolation: 1 }], [{ isolation: 'SERIALIZABLE', readOnly: true }], [[]]])(
    'is refused as %j',
    async (transactional) => {
      const options = await overPostgres();
      expect(await mistakeOf(() => withRoute({ transactional }, options))).toMatch(
        /^@Idempotent\(\) on OrdersController\.create: `transactional` must be true, false or/,
      );
    },
  );

  it.each([
    [{ required: false }, /`required` is false/],
    [{ onStorageFailure: 'run' }, /`onStorageFailure` is 'run'/],
  ])('is refused beside %j, under which a handler would run without it', async (beside, reason) => {
    const options = await overPostgres();
    expect(await mistakeOf(() => withRoute({ transactional: true, ...beside }, options))).toMatch(reason);
    // Wherever either of them was given.
    expect(
      await mistakeOf(() => withRoute({ transactional: true }, { ...options, ...beside } as object)),
    ).toMatch(reason);
  });

  it('is refused as the module’s default, in the module’s name', async () => {
    const mistake = await mistakeOf(() => withModule({ transactional: true, storage: memoryStorage() }));
    expect(mistake).toMatch(/^IdempotencyModule: `transactional` needs a storage/);
  });

  it('may be the module’s default, and one operation may do without it', async () => {
    const options = { ...(await overPostgres()), transactional: { isolation: 'SERIALIZABLE' } };
    await boot(withRoute({}, options));
    const lenient = { transactional: false, required: false };
    await boot(withRoute(lenient, { ...(await overPostgres()), transactional: true }));
  });
});
