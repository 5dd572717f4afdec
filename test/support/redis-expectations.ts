import { expect } from '@jest/globals';
import { redisStorage, type HandedInRedis } from '../../libs/idempotency/src/redis/index.js';
import { claimRequest, newClaim } from './redis-fixture.js';

const HOUR_MS = 3_600_000;
const EVERY_BYTE = Uint8Array.from({ length: 1024 }, (_, index) => index % 256);

/** Takes a record through its life over this client, whatever options the client was made with. */
export async function expectBytesKept(client: HandedInRedis): Promise<void> {
  const storage = redisStorage({ client });
  await storage.start?.();
  const { id, request, claim } = newClaim();
  await expect(storage.claim(id, request)).resolves.toMatchObject({ kind: 'claimed', attempt: 1 });
  await storage.saveStep(claim, 'charge', EVERY_BYTE);
  await expect(storage.claim(id, claimRequest())).resolves.toMatchObject({
    kind: 'in_progress',
    fingerprint: 'fp',
  });
  expect(Buffer.compare((await storage.get(id))?.steps.get('charge') ?? Buffer.alloc(0), EVERY_BYTE)).toBe(0);
  await storage.complete(claim, EVERY_BYTE, HOUR_MS);
  const replay = await storage.claim(id, claimRequest());
  expect(replay.kind === 'completed' && Buffer.compare(replay.result, EVERY_BYTE)).toBe(0);
  const found: string[] = [];
  for await (const record of storage.find({ idPrefix: 'test|redis|', state: 'completed' })) {
    found.push(record.id);
  }
  expect(found).toEqual([id]);
  await expect(storage.forget(id)).resolves.toBe(true);
  await expect(storage.get(id)).resolves.toBeUndefined();
}

/** Keys in the server begin with the client's `keyPrefix`, and ids do not. */
export async function expectPrefixed(
  client: HandedInRedis,
  keyPrefix: string,
  keys: () => Promise<readonly string[]>,
): Promise<void> {
  const storage = redisStorage({ client });
  await storage.start?.();
  const ids = Array.from({ length: 5 }, () => newClaim().id);
  await Promise.all(ids.map((id) => storage.claim(id, claimRequest())));
  expect([...(await keys())].sort()).toEqual(ids.map((id) => `${keyPrefix}${id}`).sort());
  const found: string[] = [];
  for await (const { id } of storage.find({ idPrefix: 'test|' })) found.push(id);
  expect(found.sort()).toEqual([...ids].sort());
}
