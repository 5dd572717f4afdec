import type { IdempotencyErrorCode } from '../core/errors.js';

/** RFC 9457 problem details, with our stable `code`. */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: IdempotencyErrorCode;
}

/** Status and title of every code that HTTP clients can meet. */
export const PROBLEMS = {
  'key-missing': { status: 400, title: 'Idempotency key missing' },
  'key-malformed': { status: 400, title: 'Idempotency key malformed' },
  'fingerprint-unavailable': { status: 400, title: 'Request cannot be compared' },
  'key-in-progress': { status: 409, title: 'Request still running' },
  'lock-held': { status: 409, title: 'Lock held' },
  'outcome-unknown': { status: 409, title: 'Outcome unknown' },
  'result-not-replayable': { status: 409, title: 'Result not replayable' },
  'version-ambiguous': { status: 400, title: 'Version ambiguous' },
  'version-conflict': { status: 412, title: 'Version conflict' },
  'version-missing': { status: 428, title: 'Version missing' },
  'key-reused': { status: 422, title: 'Idempotency key reused' },
  'command-reused': { status: 422, title: 'Command id reused' },
  'record-unreadable': { status: 500, title: 'Record unreadable' },
  'scope-missing': { status: 500, title: 'Scope missing' },
  'response-too-large': { status: 500, title: 'Response too large' },
  'step-reused': { status: 500, title: 'Step reused' },
  'step-not-storable': { status: 500, title: 'Step not storable' },
  'storage-unavailable': { status: 503, title: 'Idempotency storage unavailable' },
  'commit-failed': { status: 503, title: 'Commit failed' },
  'undo-failed': { status: 503, title: 'Undo failed' },
} as const satisfies Partial<Record<IdempotencyErrorCode, { status: number; title: string }>>;

export type ProblemCode = keyof typeof PROBLEMS;

/** @param docsUrl page with a heading per code; `about:blank` (RFC 9457 section 4.2.1) without one */
export function problemDetails(code: ProblemCode, detail: string, docsUrl?: string): ProblemDetails {
  const { status, title } = PROBLEMS[code];
  return { type: docsUrl === undefined ? 'about:blank' : `${docsUrl}#${code}`, title, status, detail, code };
}

/** `Retry-After` in whole seconds, at least 1: RFC 9110 section 10.2.3 knows no fractions. */
export function retryAfterSeconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}
