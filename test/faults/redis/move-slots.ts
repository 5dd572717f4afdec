import type { RedisCluster } from '../../support/redis-cluster.js';
import type { RedisNode } from '../../support/redis-node.js';

export interface SlotRange {
  readonly first: number;
  readonly count: number;
}

/** Few, so that there are many moments at which some keys of a slot are here and some are there. */
const KEYS_AT_ONCE = 2;

/**
 * Moves slots from one node to another and tells how many records moved with them. One slot after another would be too
 * easy: all of them are half moved at the same time, until no more keys are left.
 */
export async function moveSlots(
  cluster: RedisCluster,
  { first, count }: SlotRange,
  from: RedisNode,
  to: RedisNode,
): Promise<number> {
  const moves = [];
  for (let slot = first; slot < first + count; slot += 1) moves.push(await cluster.startMove(slot, from, to));
  let records = 0;
  for (let moved = 1; moved > 0; records += moved) {
    moved = 0;
    for (const move of moves) moved += await move.migrateKeys(KEYS_AT_ONCE);
  }
  for (const move of moves) await move.finish();
  return records;
}
