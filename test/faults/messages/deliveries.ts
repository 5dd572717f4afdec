import { connect } from 'amqplib';
import type { Randomness } from '../../../libs/idempotency/src/core/ports.js';

/** One message, however often it is delivered. */
export interface PlannedMessage {
  readonly id: string;
  readonly sku: string;
  readonly quantity: number;
}

export interface Deliveries {
  readonly messages: readonly PlannedMessage[];
  /** Every message 1 to 5 times, in any order. */
  readonly inOrder: readonly PlannedMessage[];
}

export const SKUS = Array.from({ length: 50 }, (_, at) => `S-${at}`);
const MOST = 5;
/** So many are written between two confirmations of the broker. */
const BATCH = 500;

export function planDeliveries(count: number, random: Randomness): Deliveries {
  const upTo = (most: number) => 1 + Math.floor(random.fraction() * most);
  const messages = Array.from({ length: count }, (_, at) => ({
    id: `m-${at}-${random.uuid()}`,
    sku: SKUS[upTo(SKUS.length) - 1] as string,
    quantity: upTo(9),
  }));
  const inOrder = messages.flatMap((message) => Array<PlannedMessage>(upTo(MOST)).fill(message));
  for (let last = inOrder.length - 1; last > 0; last -= 1) {
    const other = upTo(last + 1) - 1;
    [inOrder[last], inOrder[other]] = [inOrder[other] as PlannedMessage, inOrder[last] as PlannedMessage];
  }
  return { messages, inOrder };
}

/**
 * As Nest's clients write an event, with the envelope of the outbox. Resolves when the broker has all of them.
 *
 * @param allow asked before each part of the run, from 0 to 1
 */
export async function publish(
  url: string,
  queue: string,
  pattern: string,
  deliveries: Deliveries,
  allow: (part: number) => Promise<void>,
): Promise<void> {
  const connection = await connect(url);
  try {
    const channel = await connection.createConfirmChannel();
    const { inOrder } = deliveries;
    for (const [at, { id, ...data }] of inOrder.entries()) {
      await allow(at / inOrder.length);
      const packet = { pattern, data: { id, correlationId: `of-${id}`, data } };
      channel.sendToQueue(queue, Buffer.from(JSON.stringify(packet)), { persistent: true });
      if (at % BATCH === BATCH - 1) await channel.waitForConfirms();
    }
    await channel.waitForConfirms();
  } finally {
    await connection.close();
  }
}
