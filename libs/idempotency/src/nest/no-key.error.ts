import { IdempotencyError } from '../core/errors.js';

/** `op.deriveKey` has nothing to derive from. */
export class NoKeyError extends IdempotencyError {
  override readonly code = 'no-key';

  constructor(name: string) {
    super(
      `op.deriveKey('${name}') needs the client's key, and this request came without one (\`required: false\`). ` +
        'A made-up key would differ on the retry and protect nothing: make the key required, or check `op.key` first.',
    );
  }
}
