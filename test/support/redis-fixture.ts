import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'redis';
import type {
  Claim,
  ClaimRequest,
  IdempotencyStorage,
  StorageHost,
} from '../../libs/idempotency/src/core/idempotency-storage.js';
import { redisStorage } from '../../libs/idempotency/src/redis/index.js';
import { startRedis, type RedisServer } from './redis-server.js';

export type AdminClient = Awaited<ReturnType<typeof connectAdmin>>;

/** For a whole spec file: a server, a storage over it, and a connection to look behind it. */
export interface RedisFixture {
  readonly server: RedisServer;
  readonly admin: AdminClient;
  readonly storage: IdempotencyStorage;
}

export function useRedis({ emptyBeforeEach = true } = {}): RedisFixture {
  const fixture = {} as { -readonly [name in keyof RedisFixture]: RedisFixture[name] };
  beforeAll(async () => {
    fixture.server = await startRedis();
    fixture.admin = await connectAdmin(fixture.server.url);
    fixture.storage = redisStorage({ url: fixture.server.url });
    await fixture.storage.start?.();
  });
  afterAll(async () => {
    await fixture.storage.stop?.();
    fixture.admin.destroy();
    await fixture.server.stop();
  });
  if (emptyBeforeEach) beforeEach(() => fixture.admin.flushAll());
  return fixture;
}

/** A connection of the test's own, to look at the server and to change it. */
export async function connectAdmin(url: string) {
  const client = createClient({ url, name: 'admin' });
  client.on('error', () => {});
  await client.connect();
  return client;
}

export function claimRequest(overrides: Partial<ClaimRequest> = {}): ClaimRequest {
  return {
    ownerToken: randomUUID(),
    fingerprint: 'fp',
    leaseMs: 60_000,
    keepMs: 60_000,
    takeOver: true,
    ...overrides,
  };
}

/** A new id, and what is needed to claim it and to act on the claim. */
export function newClaim(): { id: string; request: ClaimRequest; claim: Claim } {
  const id = `test|redis|${randomUUID()}`;
  const request = claimRequest();
  return { id, request, claim: { id, ownerToken: request.ownerToken } };
}

/** How often each command was called, inside scripts too, since `CONFIG RESETSTAT`. */
export async function commandCalls(admin: AdminClient): Promise<Record<string, number>> {
  const stats = String(await admin.info('commandstats'));
  return Object.fromEntries(
    [...stats.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)].map(([, name, calls]) => [name, Number(calls)]),
  );
}

/** The same for one command, out of the text that INFO commandstats gives. */
export function commandCount(stats: string, command: string): number {
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0);
}

/** The ids that the server gives to connections which are not the admin's. */
export async function connectionIds(admin: AdminClient): Promise<readonly string[]> {
  const list = await admin.sendCommand<string>(['CLIENT', 'LIST']);
  return list
    .split('\n')
    .filter((line) => line.includes('id=') && !line.includes('name=admin'))
    .map((line) => /\bid=(\d+)/.exec(line)?.[1] ?? '');
}

/** Calls until it no longer throws, for things that come about by themselves. */
export async function eventually<T>(call: () => Promise<T> | T, withinMs = 5_000): Promise<T> {
  for (const deadline = Date.now() + withinMs; ; await sleep(20)) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

/** What the storage told the operator. */
export function listeningHost(): StorageHost & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return { warnings, find: () => undefined, warn: (message) => warnings.push(message) };
}
