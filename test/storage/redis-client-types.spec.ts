import { expect, it } from '@jest/globals';
import { createClient, type RedisClientType } from 'redis';
import ts from 'typescript';
import { redisStorage, type NodeRedisClient } from '../../libs/idempotency/src/redis/index.js';
import type { CreateClient } from '../../libs/idempotency/src/redis/url-connection.js';

/** `tsc` checks what the first two tests say; nothing in them connects. */
it('the clients of the package `redis` fit the types that this library describes', () => {
  const plain: NodeRedisClient = createClient();
  const resp2: NodeRedisClient = createClient({ RESP: 2 });
  const mapped: NodeRedisClient = createClient().withTypeMapping({ 36: Buffer });
  const named: NodeRedisClient | undefined = undefined as RedisClientType | undefined;
  const create: CreateClient = createClient;
  expect([plain, resp2, mapped].every((client) => !client.isOpen)).toBe(true);
  expect(named).toBeUndefined();
  expect(create).toBe(createClient);
});

it('what is no client does not fit', () => {
  // @ts-expect-error a promise of a client: somebody forgot to await connect()
  const promised = () => redisStorage({ client: createClient().connect() });
  const ioredisLike = { status: 'ready', sendCommand: (_command: Map<string, string>) => Promise.resolve() };
  // @ts-expect-error a client of another shape
  const other = () => redisStorage({ client: ioredisLike });
  // @ts-expect-error one of the two
  const both = () => redisStorage({ client: createClient(), url: 'redis://localhost' });
  // @ts-expect-error one of the two
  const neither = () => redisStorage({});
  for (const mistake of [promised, other, both, neither]) expect(mistake).toBeInstanceOf(Function);
});

it('the declarations of the entry name no package, so they compile where `redis` is not installed', () => {
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
