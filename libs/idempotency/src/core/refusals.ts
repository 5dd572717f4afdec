import { IdempotencyError } from './errors.js';

/**
 * A refusal that the work itself comes to, where no request is in sight: in a repository, a service, a script. In a handler it
 * becomes problem details with its code; what it says may be sent to the client.
 */
export abstract class RefusalError extends IdempotencyError {
  /** The status of the answer. */
  abstract readonly statusCode: number;
  /** What it says may be sent to the client. */
  readonly expose = true;

  /** With the two above the form of `http-errors`, which Nest's own filter knows where no interceptor of ours comes. */
  get status(): number {
    return this.statusCode;
  }
}

/** The version that a change was made for is not the present one. */
export class VersionConflictError extends RefusalError {
  override readonly code = 'version-conflict';
  override readonly statusCode = 412;

  constructor(
    readonly expectedVersion: number | 'any',
    readonly presentVersion: number,
  ) {
    super(
      `This change was made for version ${expectedVersion}, and the present version is ${presentVersion}. Read it again, then decide whether the change still holds.`,
    );
  }
}

/** Nobody has said which version a change is made for. */
export class VersionMissingError extends RefusalError {
  override readonly code = 'version-missing';
  override readonly statusCode = 428;

  constructor() {
    super(
      'Say which version this change is made for, with If-Match and the ETag of the answer that it is made from. Without it, it could undo what somebody else has done since.',
    );
  }
}

/** What is said about the version cannot be meant. */
export class VersionAmbiguousError extends RefusalError {
  override readonly code = 'version-ambiguous';
  override readonly statusCode = 400;
}

/** A command id was first used for something else. */
export class CommandReusedError extends RefusalError {
  override readonly code = 'command-reused';
  override readonly statusCode = 422;

  constructor() {
    super(
      'This command id was first used for another command. Use a new id for a new command; repeat the first one unchanged to get what came of it.',
    );
  }
}
