import { randomUUID } from 'node:crypto';
import { recordId } from '../../../libs/idempotency/src/core/record-id.js';
import { clusterSlot } from '../../../libs/idempotency/src/redis/cluster-slot.js';
import type { SlotRange } from './move-slots.js';

/** Keys without end, whose records lie all over the cluster. */
export function* anyKeys(): Generator<string> {
  for (;;) yield randomUUID();
}

/** So many keys whose records lie in the slots of this range. One of 16,384 is in a given slot, so many are tried. */
export function keysInSlots({ first, count }: SlotRange, wanted: number): readonly string[] {
  const random = randomUUID();
  const keys: string[] = [];
  for (let at = 0; keys.length < wanted; at += 1) {
    const key = `${random}-${at}`;
    const identity = { namespace: 'effects', operation: 'POST /effects', scope: undefined, key };
    const slot = clusterSlot(recordId(identity));
    if (slot >= first && slot < first + count) keys.push(key);
  }
  return keys;
}
