import type { ClaimedMessage } from '../typeorm/outbox/outbox-table.js';

/**
 * What happens to messages in a relay.
 *
 * - `delivered`, `failed` (tried again), `dead` (given up until somebody decides): of one message, with `message`.
 * - `lease-lost`: that many messages were published after their lease had gone to another relay, which sends them again.
 * - `unmarked`: that many messages were published, and the database could not be told in time: they are sent again.
 * - `database-away`, `database-back`: of the relay; said once each time.
 */
export const OUTBOX_EVENT_TYPES = [
  'delivered',
  'failed',
  'dead',
  'lease-lost',
  'unmarked',
  'database-away',
  'database-back',
] as const;

/** One of `OUTBOX_EVENT_TYPES`. */
export type OutboxEventType = (typeof OUTBOX_EVENT_TYPES)[number];

/** Something that a relay has done or met. Payloads are in no event. */
export interface OutboxEvent {
  readonly type: OutboxEventType;
  /** Which message; of events of one message alone. */
  readonly message?: OutboxEventMessage;
  /** How many messages. */
  readonly count?: number;
  /** What was thrown; of `dead` also that it took too long. */
  readonly error?: unknown;
  /** Of `failed`: when it is tried again. */
  readonly retryInMs?: number;
}

/** A message, as far as events name it. */
export interface OutboxEventMessage {
  readonly id: string;
  readonly pattern: string;
  readonly aggregate: string | undefined;
  readonly correlationId: string;
  readonly attempt: number;
}

export function named({
  id,
  pattern,
  aggregate,
  correlationId,
  attempt,
}: ClaimedMessage): OutboxEventMessage {
  return { id, pattern, aggregate, correlationId, attempt };
}
