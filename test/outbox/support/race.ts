import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaimedMessage } from '../../../libs/idempotency/src/typeorm/outbox/outbox-table.js';
import type { OutboxBench } from './outbox-bench.js';

export interface RaceSize {
  readonly claimers: number;
  readonly aggregates: number;
  readonly perAggregate: number;
  /** Messages of no aggregate. */
  readonly loose: number;
}

export interface Raced {
  /** What must never be seen, in words. */
  readonly violations: readonly string[];
  /** Different messages that were delivered, as the table has confirmed. */
  readonly delivered: number;
}

/**
 * Claimers side by side that publish, fail, give back, bury and forget what they have claimed, while messages are added. Who
 * holds which aggregate is noted here before the table is told of an end, and after it has told of a claim.
 */
export async function race(bench: OutboxBench, size: RaceSize): Promise<Raced> {
  const violations: string[] = [];
  const order = new Map<string, string[]>();
  const published = new Set<string>();
  const delivered = new Set<string>();
  const holders = new Map<string, string>();
  const random = seeded(7);
  let adding = true;

  const add = async (aggregate: string | undefined, count: number) => {
    const ids = await bench.add(...Array.from({ length: count }, () => aggregate));
    if (aggregate !== undefined) order.set(aggregate, [...(order.get(aggregate) ?? []), ...ids]);
  };
  const hold = (owner: string, messages: readonly ClaimedMessage[]) => {
    for (const aggregate of new Set(messages.flatMap((one) => one.aggregate ?? []))) {
      const holder = holders.get(aggregate);
      if (holder !== undefined) violations.push(`${aggregate} is in two hands`);
      holders.set(aggregate, owner);
    }
  };
  const letGo = (owner: string) => {
    for (const [aggregate, holder] of holders) if (holder === owner) holders.delete(aggregate);
  };
  const publish = ({ id, aggregate }: ClaimedMessage) => {
    published.add(id);
    if (aggregate === undefined) return;
    const ids = order.get(aggregate) ?? [];
    const early = ids.slice(0, ids.indexOf(id)).find((one) => !published.has(one));
    if (early !== undefined) violations.push(`${aggregate}: one was published before an older one`);
  };
  const work = async (): Promise<boolean> => {
    const { owner, messages } = await bench.claim({
      limit: 1 + Math.floor(random() * 20),
      perAggregate: 1 + Math.floor(random() * 4),
    });
    hold(owner, messages);
    const fate = random();
    if (fate < 0.1) {
      // It has died, and its lease runs out; what it has published is published.
      messages.slice(0, 1).forEach(publish);
      letGo(owner);
      await bench.lapse(owner);
      return true;
    }
    let done: ClaimedMessage[] = [];
    const stuck = new Set<string>();
    for (const message of messages) {
      if (stuck.has(message.aggregate ?? '')) continue;
      if (random() < 0.1) {
        // What is published of its aggregate is marked first: when this is told, nothing of the aggregate is held any more.
        const isBefore = ({ aggregate }: ClaimedMessage) =>
          aggregate !== undefined && aggregate === message.aggregate;
        const before = done.filter(isBefore);
        done = done.filter((one) => !isBefore(one));
        const marked = await bench.table.delivered(
          owner,
          before.map(({ sequence }) => sequence),
        );
        if (marked !== before.length) violations.push('what was held could not be marked');
        before.forEach(({ id }) => delivered.add(id));
        if (message.aggregate !== undefined) {
          stuck.add(message.aggregate);
          holders.delete(message.aggregate);
        }
        const isDead = random() < 0.3;
        const failure = isDead
          ? ({ kind: 'dead', error: 'no' } as const)
          : ({ kind: 'retry', inMs: 3, error: 'no' } as const);
        if (!(await bench.table.failed(owner, message.sequence, failure)))
          violations.push('failed is refused');
        if (isDead && !(await bench.table.decide(message.id, 'redeliver')))
          violations.push('decide is refused');
        continue;
      }
      publish(message);
      done.push(message);
    }
    letGo(owner);
    const marked = await bench.table.delivered(
      owner,
      done.map(({ sequence }) => sequence),
    );
    if (marked !== done.length) violations.push('what was held could not be marked');
    done.forEach(({ id }) => delivered.add(id));
    return messages.length > 0;
  };
  const claimer = async () => {
    for (;;) {
      const wasAdding = adding;
      if (await work()) continue;
      if (!wasAdding && (await bench.table.counts()).waiting === 0) return;
      await sleep(1);
    }
  };
  const writer = async () => {
    for (let round = 0; round < size.perAggregate; round += 4) {
      for (let at = 0; at < size.aggregates; at += 1)
        await add(`a${at}`, Math.min(4, size.perAggregate - round));
      await add(undefined, round === 0 ? size.loose : 0);
    }
    adding = false;
  };
  await Promise.all([writer(), ...Array.from({ length: size.claimers }, claimer)]);
  return { violations, delivered: delivered.size };
}

/** The same dice every time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
