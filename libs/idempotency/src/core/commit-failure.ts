import type { Answer } from './bounded.js';

/** Why a commit is not known to have happened, as observers may hear it. */
export function commitFailure(answer: Exclude<Answer<unknown>, { kind: 'answered' }>): unknown {
  return answer.kind === 'failed' ? withoutCause(answer.error) : new Error(UNANSWERED);
}

const UNANSWERED = 'the database did not answer the commit before the lease was over';

/** What caused it may be a driver's error, and those hold the statement with its values. */
function withoutCause(error: unknown): unknown {
  if (!(error instanceof Error) || error.cause === undefined) return error;
  const { name, message } = error;
  return Object.assign(new Error(message), { name }, 'code' in error ? { code: error.code } : {});
}
