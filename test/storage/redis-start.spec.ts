import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidOptionsError, StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import { freePort } from '../support/free-port.js';
import { ioredisClient, nodeRedisClient } from '../support/redis-clients.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { claimRequest, eventually, listeningHost, newClaim, useRedis } from '../support/redis-fixture.js';
import { startRedis } from '../support/redis-server.js';

const HOUR_MS = 3_600_000;
const redis = useRedis();

/** What keeps a process alive and could be ours. Sockets that were closed a moment ago may still be counted. */
function handles(): readonly string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /TCP|Timeout/.test(name))
    .sort();
}

async function handlesAtRest(): Promise<readonly string[]> {
  await sleep(100);
  return handles();
}

async function startError(port: number): Promise<unknown> {
  const storage = redisStorage({ url: `redis://user:secret@127.0.0.1:${port}` });
  try {
    await storage.start?.();
  } catch (error) {
    return error;
  }
  throw new Error('It started.');
}

describe('start', () => {
  it('rejects within seconds when nobody listens, and when nobody answers', async () => {
    const frozen = await startRedis();
    frozen.pause();
    const before = await handlesAtRest();
    const nobody = await freePort();
    try {
      const [refused, silent] = await Promise.all([startError(nobody), startError(frozen.port)]);
      for (const error of [refused, silent]) expect(error).toBeInstanceOf(StorageUnavailableError);
      expect(String(refused)).toContain(
        `Redis at 127.0.0.1:${nobody} cannot be used: connect ECONNREFUSED 127.0.0.1:${nobody}, after 5000 ms.`,
      );
      expect(String(silent)).toContain(
        `Redis at 127.0.0.1:${frozen.port} cannot be used: it does not answer`,
      );
      expect(`${String(refused)}${String(silent)}`).not.toContain('secret');
      await eventually(() => expect(handles()).toEqual(before), 3_000);
    } finally {
      await frozen.stop();
    }
  }, 15_000);

  it('rejects at once when Redis refuses the credentials', async () => {
    const start = performance.now();
    const refused = redisStorage({ url: redis.server.url.replace('//', '//somebody:wrong@') }).start?.();
    await expect(refused).rejects.toThrow('WRONGPASS');
    await expect(refused).rejects.toThrow('correct the address, the credentials or TLS');
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it('may be tried again, and again after a stop', async () => {
    const port = await freePort();
    const storage = redisStorage({ url: `redis://127.0.0.1:${port}` });
    const first = storage.start?.();
    const late = await startRedis({ port });
    await first;
    await storage.stop?.();
    await expect(storage.claim(newClaim().id, claimRequest())).rejects.toThrow(
      'was not started, or it was stopped',
    );
    await storage.start?.();
    await expect(storage.claim(newClaim().id, claimRequest())).resolves.toMatchObject({ kind: 'claimed' });
    await storage.stop?.();
    await late.stop();
  });
});

describe('stop', () => {
  it('leaves no handle behind', async () => {
    const before = await handlesAtRest();
    const storage = redisStorage({ url: redis.server.url });
    await storage.start?.();
    await storage.claim(newClaim().id, claimRequest());
    expect(handles()).not.toEqual(before);
    await storage.stop?.();
    await eventually(() => expect(handles()).toEqual(before), 200);
    await storage.stop?.();
  });

  it('leaves no handle behind after a moment when it comes during an outage', async () => {
    const before = await handlesAtRest();
    const other = await startRedis();
    const storage = redisStorage({ url: other.url });
    await storage.start?.(listeningHost());
    await other.stop();
    await eventually(() => expect(storage.get('x')).rejects.toThrow('is not connected'));
    await storage.stop?.();
    await eventually(() => expect(handles()).toEqual(before), 3_000);
  });

  it('waits for the answers that are on the way, and not for long', async () => {
    const other = await startRedis();
    const storage = redisStorage({ url: other.url });
    await storage.start?.();
    const answer = storage.claim(newClaim().id, claimRequest());
    await storage.stop?.();
    await expect(answer).resolves.toMatchObject({ kind: 'claimed' });

    await storage.start?.();
    other.pause();
    const unanswered = storage.claim(newClaim().id, claimRequest()).catch((error: unknown) => error);
    const start = performance.now();
    await storage.stop?.();
    expect(performance.now() - start).toBeLessThan(2_000);
    await expect(unanswered).resolves.toBeInstanceOf(StorageUnavailableError);
    await other.stop();
  });
});

describe('the operator', () => {
  afterEach(async () => {
    await redis.admin.sendCommand(['CONFIG', 'SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction']);
  });

  async function warningsAtStart(url: string): Promise<readonly string[]> {
    const host = listeningHost();
    const storage = redisStorage({ url });
    await storage.start?.(host);
    await storage.stop?.();
    return host.warnings;
  }

  it('is warned at start when this Redis may drop records', async () => {
    await expect(warningsAtStart(redis.server.url)).resolves.toEqual([]);
    await redis.admin.sendCommand(['CONFIG', 'SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru']);
    await expect(warningsAtStart(redis.server.url)).resolves.toEqual([
      expect.stringContaining(
        '(maxmemory-policy allkeys-lru), and a dropped record lets its operation run twice',
      ),
    ]);
  });

  it('may give a user no more than the commands that docs/storages.md lists', async () => {
    const listed = '+evalsha +eval +script|load +get +set +setrange +pexpire +pttl +time +del +scan'.split(
      ' ',
    );
    await redis.admin.sendCommand(['ACL', 'SETUSER', 'app', 'on', '>pw', '~test|*', '-@all', ...listed]);
    const url = redis.server.url.replace('//', '//app:pw@');
    // INFO is not among them: then there is no warning, and that is all.
    await expect(warningsAtStart(url)).resolves.toEqual([]);
    const storage = redisStorage({ url });
    await storage.start?.();
    await redis.admin.scriptFlush();
    const { id, request, claim } = newClaim();
    await expect(storage.claim(id, request)).resolves.toMatchObject({ kind: 'claimed' });
    await expect(storage.renew([{ claim, leaseMs: HOUR_MS }])).resolves.toEqual(['applied']);
    await expect(storage.saveStep(claim, 'charge', Buffer.from('42'))).resolves.toBe('applied');
    await expect(storage.release(claim, { forget: true })).resolves.toBe('applied');
    await storage.claim(id, request);
    await expect(storage.complete(claim, Buffer.from('done'), HOUR_MS)).resolves.toBe('applied');
    await expect(storage.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
    await expect(storage.get(id)).resolves.toMatchObject({ state: 'completed' });
    const found: string[] = [];
    for await (const record of storage.find({ idPrefix: 'test|redis|' })) found.push(record.id);
    expect(found).toEqual([id]);
    await expect(storage.forget(id)).resolves.toBe(true);
    await expect(storage.claim('elsewhere|1', request)).rejects.toThrow('Give the Redis user the commands');
    await storage.stop?.();
  });
});

describe('a node of a Redis Cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
  }, 60_000);
  afterAll(() => cluster.stop());

  const clients = {
    '`url`': async () => ({ url: cluster.masters[0]?.url ?? '' }),
    'a client of node-redis': () => nodeRedisClient(cluster.masters[0]?.url ?? ''),
    'a client of ioredis': () => ioredisClient(cluster.masters[0]?.port ?? 0),
  };
  for (const [way, open] of Object.entries(clients)) {
    it(`is refused for ${way}, with what to give instead`, async () => {
      const opened = await open();
      const storage = redisStorage('client' in opened ? { client: opened.client } : { url: opened.url });
      try {
        const start = storage.start?.();
        await expect(start).rejects.toThrow(InvalidOptionsError);
        await expect(start).rejects.toThrow(
          'is one node of a Redis Cluster, and answers for a part of the keys',
        );
        await expect(start).rejects.toThrow('`createCluster()` of the package `redis`');
      } finally {
        await storage.stop?.();
        if ('close' in opened) await opened.close();
      }
    });
  }

  it('that may not be asked is told by its first MOVED', async () => {
    const [node] = cluster.masters;
    const may = ['+evalsha', '+eval', '+script|load', '+get', '+set', '+pexpire', '+pttl', '+time'];
    await node?.command('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '-@all', ...may);
    const storage = redisStorage({ url: node?.url.replace('//', '//app:pw@') ?? '' });
    try {
      await storage.start?.();
      const claims = Array.from({ length: 50 }, () => storage.claim(newClaim().id, claimRequest()));
      await expect(Promise.all(claims)).rejects.toThrow(/MOVED .* hand in a cluster client as `client`/);
      await Promise.allSettled(claims);
    } finally {
      await storage.stop?.();
    }
  });

  it('is used as long as it is the only one', async () => {
    const alone = await RedisCluster.start({ masters: 1 });
    const storage = redisStorage({ url: alone.masters[0]?.url ?? '' });
    try {
      await storage.start?.();
      await expect(storage.claim(newClaim().id, claimRequest())).resolves.toMatchObject({ kind: 'claimed' });
    } finally {
      await storage.stop?.();
      await alone.stop();
    }
  }, 20_000);
});
