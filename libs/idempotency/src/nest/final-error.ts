import { encodeValue, decodeValue } from '../core/plain-value.js';
import type { RecordedError, TransportErrors } from './contexts/transport-errors.js';
import { describeError } from './http-errors.js';
import type { Transport } from './transports.js';

/**
 * A final error as it is noted before steps are undone for it. An attempt after a crash says the same again, whatever
 * transport it comes by.
 *
 * @param status what HTTP answered, for errors that say nothing themselves
 */
export function encodeFinalError(errors: TransportErrors, error: unknown, status = 500): Uint8Array {
  const message = error instanceof Error ? error.message : String(error);
  const plain: RecordedError = { as: 'http', status, response: { statusCode: status, message }, message };
  return encoded(said(errors, error) ?? plain) ?? encoded(plain) ?? new Uint8Array();
}

/** @throws RecordUnreadableError when the bytes are not what `encodeFinalError` writes */
export function finalErrorAgain(errors: TransportErrors, transport: Transport, bytes: Uint8Array): Error {
  return errors.rebuild(transport, decodeValue(bytes));
}

/** The error is the user's, and so is what its members do. */
function said(errors: TransportErrors, error: unknown): RecordedError | undefined {
  try {
    const known = describeError(error);
    if (known !== undefined) return { as: 'http', ...known, message: (error as Error).message };
    return errors.describe(error)?.recorded;
  } catch {
    return undefined; // it is final all the same, and goes by its status
  }
}

function encoded(error: RecordedError): Uint8Array | undefined {
  return encodeValue({ ...error });
}
