import { describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { Claim, IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { newClaim, usePostgres } from '../support/postgres-fixture.js';
import { ioredisClient, nodeRedisClient, type AppClient } from '../support/redis-clients.js';
import { useRedis } from '../support/redis-fixture.js';
import { useSqlite } from '../support/sqlite-fixture.js';

const HOUR_MS = 3_600_000;
const RECORDED = 'the response of somebody, with a one-time token';

const mariaDb = useMariaDb();
const postgres = usePostgres();
const redis = useRedis();
const sqlite = useSqlite();

interface Opened {
  readonly storage: IdempotencyStorage;
  /** From now on the server refuses every change. */
  spoil(): Promise<unknown>;
  close?(): Promise<void> | void;
}

async function overRedis({ client, close }: AppClient): Promise<Opened> {
  const storage = redisStorage({ client });
  await storage.start?.();
  const spoil = () => redis.admin.sendCommand(['CONFIG', 'SET', 'min-replicas-to-write', '1']);
  const mend = () => redis.admin.sendCommand(['CONFIG', 'SET', 'min-replicas-to-write', '0']);
  return {
    storage,
    spoil,
    async close() {
      await mend();
      await close();
    },
  };
}

const ways: Record<string, () => Promise<Opened>> = {
  MariaDB: async () => {
    const dataSource = await mariaDb.migrated();
    const storage = await mariaDb.storage({ dataSource });
    return { storage, spoil: () => dataSource.query('drop table idempotency_records') };
  },
  'MariaDB, prepared': async () => {
    const dataSource = await mariaDb.migrated();
    const storage = await mariaDb.storage({ dataSource, preparedStatements: true });
    return { storage, spoil: () => dataSource.query('drop table idempotency_records') };
  },
  PostgreSQL: async () => {
    const dataSource = await postgres.migrated();
    const storage = await postgres.storage({ dataSource });
    return { storage, spoil: () => dataSource.query('drop table idempotency_records') };
  },
  SQLite: async () => {
    const dataSource = await sqlite.migrated();
    const storage = await sqlite.storage({ dataSource });
    return { storage, spoil: () => dataSource.query('drop table idempotency_records') };
  },
  'Redis, node-redis': async () => overRedis(await nodeRedisClient(redis.server.url)),
  'Redis, ioredis': async () => overRedis(await ioredisClient(redis.server.port)),
  'Redis, ioredis with automatic pipelines': async () =>
    overRedis(await ioredisClient(redis.server.port, { enableAutoPipelining: true })),
};

/** Every text, and all bytes as texts, that a logger could find on the way down from an error. */
function textsIn(value: unknown, seen = new Set<unknown>()): readonly string[] {
  if (typeof value === 'string') return [value];
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('latin1')];
  if (typeof value !== 'object' || value === null || seen.has(value)) return [];
  seen.add(value);
  return Reflect.ownKeys(value).flatMap((key) => textsIn((value as Record<PropertyKey, unknown>)[key], seen));
}

describe.each(Object.keys(ways))('an error of the storage on %s', (which) => {
  it('holds neither the response nor the owner token, however deep a logger looks', async () => {
    const { storage, spoil, close } = await (ways[which] as () => Promise<Opened>)();
    try {
      const { id, request, claim } = newClaim();
      await storage.claim(id, request);
      await spoil();
      const secrets = [RECORDED, Buffer.from(RECORDED).toString('hex'), claim.ownerToken];
      const calls: readonly ((claim: Claim) => Promise<unknown>)[] = [
        (own) => storage.complete(own, Buffer.from(RECORDED), HOUR_MS),
        (own) => storage.saveStep(own, 'charge', Buffer.from(RECORDED)),
        (own) => storage.claim(`${own.id}${randomUUID()}`, request),
      ];
      for (const call of calls) {
        const error = await call(claim).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(StorageUnavailableError);
        const texts = textsIn(error).join('\n').toLowerCase();
        expect(texts).toContain((error as Error).message.toLowerCase());
        for (const secret of secrets) expect(texts).not.toContain(secret);
      }
    } finally {
      await close?.();
    }
  });
});
