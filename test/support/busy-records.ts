import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { newClaim } from './postgres-fixture.js';

const WORKERS = 6;
/** Long enough to meet what happens to one claim in some hundreds. */
const ROUNDS = 200;

/**
 * Claims, completes, renews, forgets and purges the same few records from every storage at once, with leases that are
 * over when the next one comes. Rejects with the first call that fails.
 */
export async function workOnTheSameRecords(storages: readonly IdempotencyStorage[]): Promise<void> {
  const ids = Array.from({ length: 20 }, (_, index) => `busy-${index}`);
  const work = async (storage: IdempotencyStorage, worker: number) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const id = ids[(round * 7 + worker * 3) % ids.length] ?? '';
      const { request } = newClaim({ leaseMs: 1, keepMs: 1 });
      const { kind } = await storage.claim(id, request);
      const own = { id, ownerToken: request.ownerToken };
      if (kind === 'claimed') await storage.complete(own, Buffer.from('x'), 1);
      if (round % 5 === worker) await storage.purgeExpired(10);
      if (round % 11 === worker) await storage.forget(id);
      if (round % 3 === worker)
        await storage.renew(ids.map((one) => ({ claim: { ...own, id: one }, leaseMs: 1 })));
    }
  };
  await Promise.all(
    storages.flatMap((storage) => Array.from({ length: WORKERS }, (_, worker) => work(storage, worker))),
  );
}
