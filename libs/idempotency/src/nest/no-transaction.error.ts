import { IdempotencyError } from '../core/errors.js';

/** `op.manager` was asked for where there is no transaction. */
export class NoTransactionError extends IdempotencyError {
  override readonly code = 'no-transaction';

  constructor() {
    super(
      '`op.manager` is the entity manager of the transaction that the handler shares with its record, and this operation has none. ' +
        'Add `transactional: true` to its options, or use the repositories and the DataSource of the application.',
    );
  }
}
