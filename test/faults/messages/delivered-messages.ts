import type { Numbered } from './outbox-writers.js';

/** What is in the queue, against what was committed. */
export interface DeliveredCounts {
  /** Messages in the queue, duplicates among them. */
  readonly delivered: number;
  readonly duplicates: number;
  /** Committed, and not in the queue. */
  readonly missing: number;
  /** In the queue, and of no committed transaction. */
  readonly invented: number;
  /** First deliveries that came before one of their aggregate's that is older. */
  readonly outOfOrder: number;
  /** That say something else than what was added, or a duplicate another correlation id. */
  readonly altered: number;
}

interface Packet {
  readonly pattern: string;
  readonly data: { readonly id: string; readonly correlationId: string; readonly data: Numbered };
}

/** @param inOrder the messages as the queue has them */
export function countDelivered(
  written: ReadonlyMap<string, Numbered>,
  inOrder: readonly string[],
): DeliveredCounts {
  const correlationIds = new Map<string, string>();
  const last = new Map<string, number>();
  let [invented, outOfOrder, altered] = [0, 0, 0];
  for (const text of inOrder) {
    const { pattern, data } = JSON.parse(text) as Packet;
    const truth = written.get(data.id);
    if (truth === undefined) {
      invented += 1;
      continue;
    }
    const { aggregate, number } = data.data;
    const before = correlationIds.get(data.id) ?? data.correlationId;
    const isAsAdded =
      pattern === 'orders.changed' && aggregate === truth.aggregate && number === truth.number;
    if (!isAsAdded || data.correlationId !== before) altered += 1;
    if (correlationIds.has(data.id)) continue;
    correlationIds.set(data.id, data.correlationId);
    if (truth.number !== (last.get(truth.aggregate) ?? 0) + 1) outOfOrder += 1;
    last.set(truth.aggregate, truth.number);
  }
  const distinct = correlationIds.size;
  return {
    delivered: inOrder.length,
    duplicates: inOrder.length - invented - distinct,
    missing: written.size - distinct,
    ...{ invented, outOfOrder, altered },
  };
}
