import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { InvalidOptionsError, StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type {
  IdempotencyStorage,
  OwnerOutcome,
} from '../../libs/idempotency/src/core/idempotency-storage.js';
import {
  redisStorage,
  type NodeRedisClient,
  type RedisStorageOptions,
} from '../../libs/idempotency/src/redis/index.js';
import { REDIS_SCRIPTS } from '../../libs/idempotency/src/redis/scripts/index.js';
import { ioredisClient, nodeRedisClient, type AppClient } from '../support/redis-clients.js';
import { claimRequest, commandCount, eventually, listeningHost, newClaim } from '../support/redis-fixture.js';
import { RedisReplicated } from '../support/redis-replicated.js';
import type { RedisNode } from '../support/redis-node.js';
import { startTcpProxy } from '../support/tcp-proxy.js';

const HOUR_MS = 3_600_000;
const RESULT = Buffer.from('done');
const LONG = { replicas: 1, timeout: '2s' };
const HASTY = { replicas: 1, timeout: '50ms' };

let group: RedisReplicated;
let replica: RedisNode;
const opened: AppClient[] = [];
beforeAll(async () => {
  group = await RedisReplicated.start();
  replica = group.replicas[0] as RedisNode;
}, 30_000);
afterAll(() => group.stop());
afterEach(async () => {
  replica.resume();
  await Promise.all(opened.splice(0).map(async ({ close }) => close()));
});

async function calls(command: string): Promise<number> {
  return commandCount(String(await group.primary.command('INFO', 'commandstats')), command);
}

describe.each([
  { library: 'node-redis', connect: (port: number) => nodeRedisClient(`redis://127.0.0.1:${port}`) },
  { library: 'ioredis', connect: (port: number) => ioredisClient(port) },
  {
    library: 'ioredis with automatic pipelines',
    connect: (port: number) => ioredisClient(port, { enableAutoPipelining: true }),
  },
])('waitReplicas over $library', ({ connect }) => {
  let storage: IdempotencyStorage;
  async function open(
    waitReplicas: RedisStorageOptions['waitReplicas'],
    port = group.primary.port,
  ): Promise<IdempotencyStorage> {
    const app: AppClient = await connect(port);
    opened.push(app);
    const made = redisStorage({ client: app.client, waitReplicas });
    await made.start?.();
    return made;
  }
  beforeEach(async () => {
    storage = await open(LONG);
  });

  it('gives an answer when the replica has the change, in the same round trip', async () => {
    const proxy = await startTcpProxy(group.primary.port);
    try {
      const behind = await open(LONG, proxy.port);
      const { id, request, claim } = newClaim();
      for (const [script, call] of [
        ['claim', () => behind.claim(id, request)],
        ['renew', () => behind.renew([{ claim, leaseMs: HOUR_MS }])],
        ['saveStep', () => behind.saveStep(claim, 'charge', RESULT)],
        ['complete', () => behind.complete(claim, RESULT, HOUR_MS)],
        ['claim', () => behind.claim(id, claimRequest())],
      ] as const) {
        const before = { script: proxy.count(REDIS_SCRIPTS[script].sha1), wait: proxy.count('WAIT') };
        proxy.holdReplies();
        const answer = call();
        // WAIT is there before the answer to the script has come back.
        await proxy.heard(REDIS_SCRIPTS[script].sha1, before.script + 1);
        await proxy.heard('WAIT', before.wait + 1);
        proxy.releaseReplies();
        await answer;
      }
      expect(await replica.command('PTTL', id)).toBeGreaterThan(0);
    } finally {
      await proxy.close();
    }
  });

  it('holds the answer back until the replica has the change', async () => {
    const { id, request } = newClaim();
    replica.pause();
    let answered = false;
    const claim = storage.claim(id, request).finally(() => (answered = true));
    await eventually(async () => expect(await group.primary.command('PTTL', id)).toBeGreaterThan(0));
    expect(answered).toBe(false);
    replica.resume();
    await expect(claim).resolves.toMatchObject({ kind: 'claimed' });
  });

  it('refuses what the replica does not have in time, and gives the same answer once it has', async () => {
    const [hasty, other, another] = [await open(HASTY), await open(HASTY), await open(HASTY)];
    const { id, request, claim } = newClaim();
    replica.pause();
    const refused = hasty.claim(id, request);
    await expect(refused).rejects.toThrow(StorageUnavailableError);
    await expect(refused).rejects.toThrow(
      'a change that `waitReplicas: 1` replicas must have, but 0 did within 50 ms. A failover might lose it, so it does not count.',
    );
    replica.resume();
    await expect(storage.claim(id, request)).resolves.toMatchObject({ kind: 'claimed', attempt: 1 });
    replica.pause();
    await expect(hasty.complete(claim, RESULT, HOUR_MS)).rejects.toThrow(StorageUnavailableError);
    // Nor do a repetition and a duplicate get on with it before it is safe, on a connection that has written nothing.
    await expect(other.complete(claim, RESULT, HOUR_MS)).rejects.toThrow(StorageUnavailableError);
    await expect(another.claim(id, claimRequest())).rejects.toThrow(StorageUnavailableError);
    replica.resume();
    await expect(storage.complete(claim, RESULT, HOUR_MS)).resolves.toBe('applied');
    await expect(hasty.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'completed' });
  });

  it('gives refusals at once, which nobody builds upon', async () => {
    const { id, request } = newClaim();
    await storage.claim(id, request);
    replica.pause();
    const hasty = await open({ replicas: 1, timeout: '1s' });
    await expect(hasty.claim(id, claimRequest())).resolves.toMatchObject({ kind: 'in_progress' });
    await expect(hasty.complete({ id, ownerToken: 'x' }, RESULT, HOUR_MS)).resolves.toBe('lease_lost');
    await expect(hasty.get(id)).resolves.toMatchObject({ state: 'in_progress' });
  });

  it('sends one WAIT for a hundred renewals, and gathers what comes while one is under way', async () => {
    const claims = Array.from({ length: 100 }, newClaim);
    await Promise.all(claims.map(({ id, request }) => storage.claim(id, request)));
    await group.primary.command('CONFIG', 'RESETSTAT');
    await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    expect(await calls('wait')).toBe(1);

    replica.pause();
    const first = storage.renew(claims.slice(0, 1).map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    await eventually(async () => expect(await calls('evalsha')).toBe(101));
    const later: Promise<OwnerOutcome>[] = [];
    for (const { claim } of claims) {
      later.push(storage.saveStep(claim, 'charge', RESULT));
      await setImmediate();
    }
    replica.resume();
    await first;
    expect(new Set(await Promise.all(later))).toEqual(new Set(['applied']));
    // One for the renewal, one for the hundred steps.
    expect(await calls('wait')).toBe(3);
  });
});

it('a WAIT that ioredis sends again, to the server that came after, confirms nothing', async () => {
  const before = await RedisReplicated.start();
  before.replicas[0]?.pause();
  const { port } = before.primary;
  const { client, close } = await ioredisClient(port);
  const storage = redisStorage({ client, waitReplicas: LONG });
  const { id, request } = newClaim();
  await storage.start?.();
  const claim = storage.claim(id, request);
  const refused = expect(claim).rejects.toThrow('the connection was made anew before they answered');
  await eventually(async () => expect(await before.primary.command('PTTL', id)).toBeGreaterThan(0));
  await before.stop();
  const after = await RedisReplicated.start({ port });
  try {
    await refused;
    expect(commandCount(String(await after.primary.command('INFO', 'commandstats')), 'wait')).toBe(1);
    expect(await after.primary.command('EXISTS', id)).toBe(0);
  } finally {
    // Before its server goes: ioredis leaves a timer of 2 s when there is no connection left to end.
    await close();
    await after.stop();
  }
}, 20_000);

describe('waitReplicas', () => {
  it('works with `url` too', async () => {
    const storage = redisStorage({ url: group.primary.url, waitReplicas: 1 });
    const host = listeningHost();
    await storage.start?.(host);
    try {
      const { id, request } = newClaim();
      await expect(storage.claim(id, request)).resolves.toMatchObject({ kind: 'claimed' });
      expect(host.warnings).toEqual([]);
    } finally {
      await storage.stop?.();
    }
  });

  it('that asks for more replicas than there are is warned of at start', async () => {
    const host = listeningHost();
    const storage = redisStorage({ url: group.primary.url, waitReplicas: { replicas: 2, timeout: '20ms' } });
    await storage.start?.(host);
    await storage.stop?.();
    expect(host.warnings).toEqual([
      expect.stringContaining('`waitReplicas` asks for 2, but 1 answered within 20 ms'),
    ]);
  });

  it('that has the longest timeout and no replica is warned of at start, and refuses in time', async () => {
    const host = listeningHost();
    const storage = redisStorage({ url: group.primary.url, waitReplicas: { replicas: 2, timeout: '2s' } });
    await storage.start?.(host);
    try {
      expect(host.warnings).toEqual([expect.stringContaining('1 answered within 2000 ms')]);
      const calls = Array.from({ length: 3 }, () => storage.claim(newClaim().id, claimRequest()));
      for (const call of await Promise.allSettled(calls)) {
        expect(call).toMatchObject({
          reason: { message: expect.stringContaining('but 1 did within 2000 ms') },
        });
      }
    } finally {
      await storage.stop?.();
    }
  }, 20_000);

  it('with a client that does not tell when its connection was made anew, as an early node-redis 5, fails at start', async () => {
    const { client, close } = await nodeRedisClient(group.primary.url);
    opened.push({ client, close });
    const early: NodeRedisClient = {
      isOpen: true,
      isReady: true,
      sendCommand: (command, options) => client.sendCommand([...command], options),
    };
    const start = redisStorage({ client: early, waitReplicas: LONG }).start?.();
    await expect(start).rejects.toThrow(InvalidOptionsError);
    await expect(start).rejects.toThrow('Of the package `redis` use 5.12 or later.');
  });

  it('of a user who may not WAIT fails at start', async () => {
    const may = ['+evalsha', '+eval', '+script|load', '+get', '+set', '+pexpire', '+pttl', '+time'];
    await group.primary.command('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '-@all', ...may);
    const url = group.primary.url.replace('//', '//app:pw@');
    await expect(redisStorage({ url, waitReplicas: 1 }).start?.()).rejects.toThrow('NOPERM');
  });

  it.each([
    [0, '`waitReplicas` is 0'],
    [1.5, '`waitReplicas` is 1.5'],
    ['1', "`waitReplicas` is '1'"],
    [{ replicas: -1 }, '`waitReplicas` is -1'],
    [{ replicas: 1, timeout: 250 }, '`waitReplicas.timeout` is 250 seconds'],
    [{ replicas: 1, timeout: '2001ms' }, '`waitReplicas.timeout` is 2001ms, and all calls of this process'],
    [{ replicas: 1, timeout: 3 }, 'Give 2s at most.'],
    [{ replicas: 1, timeout: '0ms' }, "`waitReplicas.timeout` is '0ms'"],
  ])('refuses %j at once', (waitReplicas, message) => {
    const make = () => redisStorage({ url: 'redis://localhost', waitReplicas } as RedisStorageOptions);
    expect(make).toThrow(message);
  });
});
