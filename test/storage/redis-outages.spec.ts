import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import { RedisStorage } from '../../libs/idempotency/src/redis/redis-storage.js';
import { UrlConnection } from '../../libs/idempotency/src/redis/url-connection.js';
import {
  claimRequest,
  commandCalls,
  connectAdmin,
  connectionIds,
  eventually,
  listeningHost,
  newClaim,
  type AdminClient,
} from '../support/redis-fixture.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';

let server: RedisServer;
let admin: AdminClient;
let storage: IdempotencyStorage;
let host: ReturnType<typeof listeningHost>;

beforeEach(async () => {
  server = await startRedis();
  admin = await connectAdmin(server.url);
  host = listeningHost();
  storage = redisStorage({ url: server.url });
  await storage.start?.(host);
});
afterEach(async () => {
  await storage.stop?.();
  admin.destroy();
  await server.stop();
});

const anotherClaim = () => storage.claim(newClaim().id, claimRequest());
async function msOf(call: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await call();
  return performance.now() - start;
}

describe('a Redis that stands still', () => {
  it('answers at once on the same connection when it goes on, also those who asked meanwhile', async () => {
    const before = await connectionIds(admin);
    const { id, request } = newClaim();
    server.pause();
    const asked = storage.claim(id, request);
    const early = await Promise.race([asked, sleep(500, 'still waiting')]);
    expect(early).toBe('still waiting');
    server.resume();
    await expect(asked).resolves.toMatchObject({ kind: 'claimed' });
    expect(await msOf(anotherClaim)).toBeLessThan(500);
    await expect(connectionIds(admin)).resolves.toEqual(before);
    expect(host.warnings).toEqual([]);
  });

  it('is given up after half a minute, and a new connection is there when it goes on', async () => {
    let later = 0;
    const connection = new UrlConnection(server.url, undefined, () => performance.now() + later);
    const impatient = new RedisStorage(connection);
    await impatient.start(host);
    try {
      server.pause();
      const asked = impatient.claim(newClaim().id, claimRequest());
      later = 31_000;
      await expect(impatient.claim(newClaim().id, claimRequest())).rejects.toThrow(StorageUnavailableError);
      await expect(asked).rejects.toThrow(StorageUnavailableError);
      expect(host.warnings).toEqual([expect.stringContaining('nothing was heard for 31')]);
      server.resume();
      const claimed = await eventually(() => impatient.claim(newClaim().id, claimRequest()));
      expect(claimed).toMatchObject({ kind: 'claimed' });
    } finally {
      await impatient.stop();
    }
  });
});

describe('a Redis that dies', () => {
  it('fails every call at once, warns once, and is used again when it is back, without what was asked meanwhile', async () => {
    const { port } = server;
    await server.stop();
    await eventually(async () => expect(host.warnings).toHaveLength(1));
    expect(host.warnings[0]).toMatch(
      /^Redis at 127\.0\.0\.1:\d+ is lost: .* reconnecting goes on for ever\.$/,
    );
    const refused = await msOf(() => Promise.allSettled(Array.from({ length: 500 }, anotherClaim)));
    expect(refused).toBeLessThan(1_000);
    await expect(anotherClaim()).rejects.toThrow(StorageUnavailableError);
    await sleep(300);
    expect(host.warnings).toHaveLength(1);

    server = await startRedis({ port });
    await eventually(async () => expect(await anotherClaim()).toMatchObject({ kind: 'claimed' }));
    const { evalsha = 0, eval: evaluated = 0 } = await eventually(() => commandCalls(admin));
    expect([evalsha, evaluated]).toEqual([1, 1]);

    await server.stop();
    await eventually(async () => expect(host.warnings).toHaveLength(2));
  });

  it('fails the calls on the way, and never the process', async () => {
    server.pause();
    const calls = [anotherClaim(), storage.renew([{ claim: newClaim().claim, leaseMs: 1_000 }])];
    const settled = Promise.allSettled(calls);
    await sleep(100);
    await server.stop();
    for (const outcome of await settled) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(StorageUnavailableError) });
    }
  });

  it('is left for its successor when it comes back as a replica', async () => {
    const [before] = await connectionIds(admin);
    // Younger connections are kept, so that a Redis that stays a replica is not flooded with new ones.
    await sleep(1_100);
    await admin.sendCommand(['REPLICAOF', '127.0.0.1', '1']);
    await expect(anotherClaim()).rejects.toThrow('This is a replica: connect to the primary.');
    await eventually(async () => {
      const [now] = await connectionIds(admin);
      expect(now).toBeDefined();
      expect(now).not.toBe(before);
    });
    expect(host.warnings).toEqual([expect.stringContaining('it has become a replica')]);
    await admin.sendCommand(['REPLICAOF', 'NO', 'ONE']);
    await expect(eventually(anotherClaim)).resolves.toMatchObject({ kind: 'claimed' });
  });
});
