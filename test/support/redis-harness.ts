import { setTimeout as sleep } from 'node:timers/promises';
import { redisStorage, type RedisCommonOptions } from '../../libs/idempotency/src/redis/index.js';
import type { OpenHarness } from '../storage/contract-column.js';
import type { AppClient } from './redis-clients.js';

/** Two storages over a client each. Redis judges time by its own clock, so time passes by waiting. */
export async function redisHarness(
  connect: () => Promise<AppClient>,
  options: RedisCommonOptions = {},
): Promise<OpenHarness> {
  const clients = await Promise.all([connect(), connect()]);
  const [storage, peer] = clients.map(({ client }) => redisStorage({ client, ...options }));
  if (storage === undefined || peer === undefined) throw new Error('There are no two clients.');
  await Promise.all([storage.start?.(), peer.start?.()]);
  return {
    storage,
    openPeer: () => Promise.resolve(peer),
    advance: (ms) => sleep(ms),
    async close() {
      await Promise.all([storage.stop?.(), peer.stop?.()]);
      await Promise.all(clients.map(async ({ close }) => close()));
    },
  };
}
