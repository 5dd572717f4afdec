import { IdempotencyError } from '../core/errors.js';

/** `op.manager` was asked for, or `outbox.add()` called, where there is no transaction. */
export class NoTransactionError extends IdempotencyError {
  override readonly code = 'no-transaction';

  constructor(asked: keyof typeof SENTENCES = 'op.manager') {
    super(SENTENCES[asked]);
  }
}

const SENTENCES = {
  'op.manager':
    '`op.manager` is the entity manager of the transaction that the handler shares with its record, and this operation has none. ' +
    'Add `transactional: true` to its options, or use the repositories and the DataSource of the application.',
  'outbox.add()':
    '`outbox.add()` was called in no open transaction, so the message could be sent although what it tells of is never kept, or be lost although it is. ' +
    'Call it in a handler with `transactional: true`, or hand it the manager of one: `dataSource.transaction((manager) => outbox.add(message, { manager }))`.',
} as const;
