import { StorageUnavailableError } from '../core/errors.js';

/** What a storage rejects with when its database does not do what it is asked. */
export function unavailable(server: string, what: string, cause: unknown): StorageUnavailableError {
  return new StorageUnavailableError(
    `typeOrmStorage: ${server} did not answer ${what}: ${messageOf(cause)}.`,
    {
      cause,
    },
  );
}

export function messageOf(error: unknown): string {
  if (error instanceof Error && error.message !== '') return error.message;
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return String(code ?? error);
}
