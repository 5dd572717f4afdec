import { IdempotencyError } from '../../core/errors.js';

interface ServerError {
  /** SQLSTATE on PostgreSQL, the name of the error on MariaDB. */
  readonly code?: unknown;
  readonly constraint?: unknown;
  readonly table?: unknown;
}

/**
 * Why a transaction could not be completed or committed, for logs and events. Of what a server says it holds codes and names
 * alone: the rest quotes rows (`Key (email)=(…) already exists.`), and drivers add the statement with its values.
 */
export function refusedEnd(server: string, error: unknown): unknown {
  if (error instanceof IdempotencyError || !isOfServer(error)) return error;
  const { code, constraint, table } = error;
  const names = Object.entries({ constraint, table }).flatMap(([what, name]) =>
    typeof name === 'string' ? [`${what} \`${name}\``] : [],
  );
  const reason = [String(code), ...names].join(', ');
  return Object.assign(new Error(`${server} has refused to commit: ${reason}`), { code });
}

function isOfServer(error: unknown): error is ServerError {
  return typeof error === 'object' && error !== null && ('severity' in error || 'sqlState' in error);
}
