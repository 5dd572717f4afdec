/** What happened to a record, for logs, metrics and tests. Never holds a raw key, a body or a user's name. */
export interface IdempotencyEvent {
  readonly type: IdempotencyEventType;
  /** Record id: namespace, operation and a hash of scope and key. */
  readonly id: string;
  readonly operation: string;
  readonly attempt?: number;
  /** Ties it to what else came of the request (`op.correlationId`); absent for what no request asked for. */
  readonly correlationId?: string;
  readonly error?: unknown;
}

/** Everything that can happen to a record. Public: channels, counters and logs are named by these. */
export const IDEMPOTENCY_EVENT_TYPES = [
  /** A handler may run. */
  'claimed',
  /** A handler may run although an earlier run ended without an outcome (a crash, or a lease that ran out). */
  'taken-over',
  /** An earlier outcome was sent again. */
  'replayed',
  /** Refused: the same request is still running. */
  'in-progress',
  /** Refused: the key belongs to another request. */
  'key-reused',
  /** Refused: an earlier run may have had its effect and nobody knows (`onAbandoned: 'refuse'`). */
  'abandoned',
  /** The outcome is stored. */
  'completed',
  /** The run was given up; a retry may run. */
  'released',
  /** The lease was taken over, or could not be confirmed in time, while the handler ran. */
  'lease-lost',
  /** A run finished after another one had taken over: its outcome was not stored. */
  'superseded',
  /** The outcome could not be stored yet; the answer went out, and the write is tried again in the background. */
  'unrecorded',
  /** The outcome could not be stored until its time was over: a retry will run the handler again. */
  'outcome-dropped',
  /** The transaction of a handler's writes and its record is not known to have committed; its client was told to ask again. */
  'commit-failed',
  /** An operation ended in a final error, and what its steps had done could not be undone; a retry goes on with that. */
  'undo-failed',
  /** A storage call failed or did not answer in time. */
  'storage-failed',
  /** What is stored is not a record. */
  'record-unreadable',
  /** A codec failed on writing, so an outcome was kept without its body; or it did not answer on reading. */
  'codec-failed',
  /** The handler runs without protection (`onStorageFailure: 'run'`, or no key where none is required). */
  'unprotected',
] as const;

/** One of `IDEMPOTENCY_EVENT_TYPES`. */
export type IdempotencyEventType = (typeof IDEMPOTENCY_EVENT_TYPES)[number];

export type EventListener = (event: IdempotencyEvent) => void;
