/** Every code that a user of this library can meet. Each has a heading in docs/errors.md; a test holds the two together. */
export const IDEMPOTENCY_ERROR_CODES = [
  'key-missing',
  'key-malformed',
  'fingerprint-unavailable',
  'key-in-progress',
  'lock-held',
  'outcome-unknown',
  'result-not-replayable',
  'version-conflict',
  'version-missing',
  'version-ambiguous',
  'key-reused',
  'command-reused',
  'record-unreadable',
  'scope-missing',
  'response-too-large',
  'step-reused',
  'step-not-storable',
  'storage-unavailable',
  'commit-failed',
  'undo-failed',
  'no-key',
  'no-transaction',
  'message-refused',
  'transaction-ended',
  'transaction-misused',
  'invalid-options',
] as const;

/** One of `IDEMPOTENCY_ERROR_CODES`: what to branch on. Each has a heading in docs/errors.md. */
export type IdempotencyErrorCode = (typeof IDEMPOTENCY_ERROR_CODES)[number];

/** Base of the errors that carry no HTTP status. Branch on `code`: it survives renames and duplicate installs. */
export abstract class IdempotencyError extends Error {
  abstract readonly code: IdempotencyErrorCode;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A mistake in options, found at boot. */
export class InvalidOptionsError extends IdempotencyError {
  override readonly code = 'invalid-options';
}

/**
 * What a storage holds under an id is not a record that it wrote. Storages throw it instead of guessing, so that the
 * handler is neither run again nor answered with somebody's bytes.
 */
export class RecordUnreadableError extends IdempotencyError {
  override readonly code = 'record-unreadable';

  constructor(reason: string, options?: ErrorOptions) {
    super(
      `The stored record cannot be read: ${reason}. It is neither replayed nor run again until somebody looks at it.`,
      options,
    );
  }
}

/** The storage cannot answer now: full, stopped, or unreachable. */
export class StorageUnavailableError extends IdempotencyError {
  override readonly code = 'storage-unavailable';
}
