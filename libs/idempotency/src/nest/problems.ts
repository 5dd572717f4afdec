import { HttpException } from '@nestjs/common';
import { StorageUnavailableError, type IdempotencyErrorCode } from '../core/errors.js';
import { RefusalError } from '../core/refusals.js';
import { PROBLEMS, problemDetails, retryAfterSeconds, type ProblemCode } from '../http/problem-details.js';
import type { Resource } from '../http/recorded-response.js';

/** A refusal by this library, as an HttpException whose body is RFC 9457 problem details. Branch on `code`. */
export class IdempotencyException extends HttpException {
  readonly code: IdempotencyErrorCode;
  /** Headers that belong to the answer; they are on the response before an exception filter sees this. */
  readonly headers: Readonly<Record<string, string>>;
  /** After how many seconds the same may be asked again. Left out: asking again does not help. */
  readonly retryAfter?: number;

  constructor(
    code: ProblemCode,
    detail: string,
    extra: { retryAfterMs?: number; docsUrl?: string | undefined; cause?: unknown } = {},
  ) {
    super(problemDetails(code, detail, extra.docsUrl), PROBLEMS[code].status, { cause: extra.cause });
    this.message = detail;
    this.code = code;
    if (extra.retryAfterMs !== undefined) this.retryAfter = retryAfterSeconds(extra.retryAfterMs);
    this.headers = {
      'Content-Type': 'application/problem+json',
      ...(this.retryAfter === undefined ? {} : { 'Retry-After': String(this.retryAfter) }),
      ...(extra.docsUrl === undefined ? {} : { Link: `<${extra.docsUrl}#${code}>; rel="help"` }),
    };
  }
}

/** Every refusal, as a sentence that says what to do. Written once; made from values. */
export class Problems {
  constructor(private readonly docsUrl: string | undefined) {}

  keyMissing(operation: string, where: string): IdempotencyException {
    return this.make(
      'key-missing',
      `${operation} needs ${where}. Send a unique value per operation, such as a UUID, and reuse it only to retry.`,
    );
  }

  keyMalformed(where: string, reason: string): IdempotencyException {
    return this.make(
      'key-malformed',
      `The key in ${where} cannot be used: ${reason}. Send 1 to 255 printable ASCII characters, such as a UUID, once.`,
    );
  }

  fingerprintUnavailable(operation: string, reason: string): IdempotencyException {
    return this.make(
      'fingerprint-unavailable',
      `The request to ${operation} cannot be compared with an earlier one: ${reason}. Send a Content-Digest header (RFC 9530) with its sha-256 or sha-512.`,
    );
  }

  keyInProgress(retryAfterMs: number): IdempotencyException {
    const seconds = retryAfterSeconds(retryAfterMs);
    const detail = `A request with this key is still running. Send the same request again after ${seconds} second${seconds === 1 ? '' : 's'}.`;
    return this.make('key-in-progress', detail, { retryAfterMs });
  }

  lockHeld(retryAfterMs: number): IdempotencyException {
    const seconds = retryAfterSeconds(retryAfterMs);
    const detail = `Something else is being done that must not happen at the same time as this. Send the same request again after ${seconds} second${seconds === 1 ? '' : 's'}.`;
    return this.make('lock-held', detail, { retryAfterMs });
  }

  lockUnavailable(cause: unknown): IdempotencyException {
    return this.make(
      'storage-unavailable',
      'Whether something else is being done that must not happen at the same time as this cannot be checked now, so this was not done. Send the same request again after 1 second.',
      { retryAfterMs: 1000, cause },
    );
  }

  keyReused(): IdempotencyException {
    return this.make(
      'key-reused',
      'This key was first used with a different request. Use a new key for a new operation; repeat the original request to get its stored response.',
    );
  }

  outcomeUnknown(): IdempotencyException {
    return this.make(
      'outcome-unknown',
      'An earlier request with this key ended without an outcome, and whether it had its effect is not known. Check before you do it with a new key; the operator of this service can resolve it.',
    );
  }

  notReplayable(resource: Resource | undefined): IdempotencyException {
    const named = resource ? ` It made ${resource.type} ${resource.id}: ask for that.` : '';
    return this.make(
      'result-not-replayable',
      `The operation was done once, and its answer was not kept, so it cannot be sent again.${named} It will not run again for this key.`,
    );
  }

  recordUnreadable(cause: unknown): IdempotencyException {
    // Its codec cannot tell now.
    if (cause instanceof StorageUnavailableError) return this.storageUnavailable(cause);
    return this.make(
      'record-unreadable',
      'What is stored for this key cannot be read, so it is neither replayed nor run again. The operator of this service has to look at the record.',
      { cause },
    );
  }

  scopeMissing(cause?: unknown): IdempotencyException {
    return this.make(
      'scope-missing',
      'This service could not tell whose key this is, so it did not run the operation: it could get somebody else’s answer. `scope` must yield a string or a number; authenticate before it is asked.',
      { cause },
    );
  }

  storageUnavailable(cause: unknown): IdempotencyException {
    return this.make(
      'storage-unavailable',
      'Whether this request has run before cannot be checked now, so it was not run. Send the same request with the same key again after 1 second.',
      { retryAfterMs: 1000, cause },
    );
  }

  stepReused(name: string): IdempotencyException {
    return this.make(
      'step-reused',
      `The handler has used the name \`${name}\` for two steps of one attempt, and each name has one result. The operator of this service has to give each step a name of its own, in a loop with what tells its turns apart.`,
    );
  }

  stepNotStorable(name: string): IdempotencyException {
    return this.make(
      'step-not-storable',
      `The result of the step \`${name}\` would not come back from JSON as it is (a Date, an instance of a class, a bigint, NaN, a function), so it was not kept. The operator of this service has to let the step return plain data: what later steps and its \`undo\` need.`,
    );
  }

  stepUnsaved(name: string, cause: unknown): IdempotencyException {
    return this.make(
      'storage-unavailable',
      `That the step \`${name}\` is done could not be stored now. Send the same request with the same key again after 1 second: it goes on with that step.`,
      { retryAfterMs: 1000, cause },
    );
  }

  commitFailed(cause?: unknown): IdempotencyException {
    return this.make(
      'commit-failed',
      'What this request has written is not known to be committed. Send the same request with the same key again after 1 second: it runs again, or you get its answer.',
      { retryAfterMs: 1000, cause },
    );
  }

  undoFailed(cause?: unknown): IdempotencyException {
    return this.make(
      'undo-failed',
      'This operation was refused, and a part of what it had done is not undone yet. Send the same request with the same key again after 1 second: it goes on with that, then says why it was refused.',
      { retryAfterMs: 1000, cause },
    );
  }

  responseTooLarge(): IdempotencyException {
    return this.make(
      'response-too-large',
      'The answer grew beyond `maxResponseBytes` while its handler was still writing it, so what it had written to the database was rolled back. Nothing has happened; the operator of this service has to raise the limit.',
    );
  }

  /** For those who look after records; no request is under way. */
  storageSilent(cause: unknown): IdempotencyException {
    return this.make(
      'storage-unavailable',
      'The storage of the records did not answer, so nothing is known about them now. A change that was asked for may still be made when it answers again.',
      { retryAfterMs: 1000, cause },
    );
  }

  /** A refusal that takes the place of an answer, where no exception filter comes any more. */
  instead(code: ProblemCode): IdempotencyException {
    if (code === 'undo-failed') return this.undoFailed();
    return code === 'response-too-large' ? this.responseTooLarge() : this.commitFailed();
  }

  /** What a repository or a service has refused, as a problem; any other error as it is. */
  refusalOf(error: unknown): unknown {
    if (!(error instanceof RefusalError) || !(error.code in PROBLEMS)) return error;
    return this.make(error.code as ProblemCode, error.message, { cause: error });
  }

  private make(
    code: ProblemCode,
    detail: string,
    extra: { retryAfterMs?: number; cause?: unknown } = {},
  ): IdempotencyException {
    return new IdempotencyException(code, detail, { ...extra, docsUrl: this.docsUrl });
  }
}
