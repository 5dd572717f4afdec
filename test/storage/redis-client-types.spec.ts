import { expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import {
  createClient,
  createClientPool,
  createCluster,
  createSentinel,
  type RedisClientType,
  type RedisClusterType,
  type RedisSentinelType,
} from 'redis';
import ts from 'typescript';
import {
  redisStorage,
  type IoredisClient,
  type IoredisCluster,
  type NodeRedisClient,
  type NodeRedisCluster,
  type NodeRedisSentinel,
} from '../../libs/idempotency/src/redis/index.js';
import type { CreateClient } from '../../libs/idempotency/src/redis/url-connection.js';

/** `tsc` checks what the first three tests say; nothing in them connects. */
it('the clients of the package `redis` fit the types that this library describes', () => {
  const plain: NodeRedisClient = createClient();
  const resp2: NodeRedisClient = createClient({ RESP: 2 });
  const mapped: NodeRedisClient = createClient().withTypeMapping({ 36: Buffer });
  const named: NodeRedisClient | undefined = undefined as RedisClientType | undefined;
  const create: CreateClient = createClient;
  expect([plain, resp2, mapped].every((client) => !client.isOpen)).toBe(true);
  expect(named).toBeUndefined();
  expect(create).toBe(createClient);

  const rootNodes = [{ url: 'redis://127.0.0.1:1' }];
  const cluster: NodeRedisCluster = createCluster({ rootNodes });
  const cluster2: NodeRedisCluster = createCluster({ rootNodes, RESP: 2, useReplicas: true });
  const namedCluster: NodeRedisCluster | undefined = undefined as RedisClusterType | undefined;
  const sentinelRootNodes = [{ host: '127.0.0.1', port: 1 }];
  const sentinel: NodeRedisSentinel = createSentinel({ name: 'main', sentinelRootNodes });
  const sentinel2: NodeRedisSentinel = createSentinel({ name: 'main', sentinelRootNodes, RESP: 2 });
  const namedSentinel: NodeRedisSentinel | undefined = undefined as RedisSentinelType | undefined;
  for (const client of [cluster, cluster2, sentinel, sentinel2]) {
    expect(() => redisStorage({ client })).not.toThrow();
  }
  expect([namedCluster, namedSentinel]).toEqual([undefined, undefined]);
});

it('the clients of the package `ioredis` fit', () => {
  const lazyConnect = true;
  const plain: IoredisClient = new Redis({ lazyConnect });
  const sentinel: IoredisClient = new Redis({ lazyConnect, name: 'main', sentinels: [{ port: 1 }] });
  const cluster: IoredisCluster = new Cluster([1], { lazyConnect, natMap: () => null });
  for (const client of [plain, sentinel, cluster]) expect(() => redisStorage({ client })).not.toThrow();
});

it('what is no client does not fit', () => {
  // @ts-expect-error a promise of a client: somebody forgot to await connect()
  const promised = () => redisStorage({ client: createClient().connect() });
  const ioredisLike = { status: 'ready', sendCommand: (_command: Map<string, string>) => Promise.resolve() };
  // @ts-expect-error a client of another shape
  const other = () => redisStorage({ client: ioredisLike });
  // @ts-expect-error a pool: WAIT and what it is for could go different ways
  const pool = () => redisStorage({ client: createClientPool() });
  // @ts-expect-error one of the two
  const both = () => redisStorage({ client: createClient(), url: 'redis://localhost' });
  // @ts-expect-error one of the two
  const neither = () => redisStorage({});
  for (const mistake of [promised, other, pool, both, neither]) expect(mistake).toBeInstanceOf(Function);
  expect(pool).toThrow('`client` is not a client that can be used');
});

it('the declarations of the entry name no package, so they compile where none is installed', () => {
  const program = ts.createProgram(['libs/idempotency/src/redis/index.ts'], {
    ...{ declaration: true, emitDeclarationOnly: true, skipLibCheck: true, strict: true, types: ['node'] },
    ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, outDir: '/nowhere' },
  });
  const specifiers: string[] = [];
  program.emit(undefined, (file, text) => {
    if (!file.endsWith('.d.ts')) return;
    for (const [, name = ''] of text.matchAll(
      /(?:from|import\(|import|reference types=)\s*["']([^"']+)["']/g,
    ))
      specifiers.push(name);
  });
  expect(specifiers).toContain('./redis-client.js');
  expect(specifiers.filter((name) => !name.startsWith('.'))).toEqual([]);
}, 60_000);
