import { HttpException } from '@nestjs/common';
import { decodeValue, encodeValue } from '../core/plain-value.js';
import type { RecordedError, TransportErrors } from './contexts/transport-errors.js';
import { describeError } from './http-errors.js';
import type { Transport } from './transports.js';

/** As it is kept; `status`: what it names itself, in whatever words. */
type FinalError = RecordedError & { readonly status?: number | undefined };

/**
 * A final error as it is noted before steps are undone for it. An attempt after a crash says the same again, whatever
 * transport it comes by.
 *
 * @param status what HTTP answered, for errors that say nothing themselves
 */
export function encodeFinalError(errors: TransportErrors, error: unknown, status = 500): Uint8Array {
  const message = error instanceof Error ? error.message : String(error);
  const plain: FinalError = { as: 'http', status, response: { statusCode: status, message }, message };
  return encoded(said(errors, error) ?? plain) ?? encoded(plain) ?? new Uint8Array();
}

/** @throws RecordUnreadableError when the bytes are not what `encodeFinalError` writes */
export function finalErrorAgain(errors: TransportErrors, transport: Transport, bytes: Uint8Array): Error {
  const kept = decodeValue(bytes);
  return (transport === 'http' ? inWordsOfHttp(kept) : undefined) ?? errors.rebuild(transport, kept);
}

/** A refusal of a message or a field that names a status means the same to those who ask over HTTP. */
function inWordsOfHttp(kept: unknown): HttpException | undefined {
  const { as, status, payload, extensions } = (kept ?? {}) as Record<string, unknown>;
  const said = payload ?? extensions;
  if (as === 'http' || typeof status !== 'number' || typeof said !== 'object' || said === null)
    return undefined;
  return new HttpException(said, status);
}

/** The error is the user's, and so is what its members do. */
function said(errors: TransportErrors, error: unknown): FinalError | undefined {
  try {
    const known = describeError(error);
    if (known !== undefined) return { as: 'http', ...known, message: (error as Error).message };
    const described = errors.describe(error);
    return described && ({ ...described.recorded, status: described.status } as FinalError);
  } catch {
    return undefined; // it is final all the same, and goes by its status
  }
}

function encoded(error: FinalError): Uint8Array | undefined {
  return encodeValue({ ...error });
}
