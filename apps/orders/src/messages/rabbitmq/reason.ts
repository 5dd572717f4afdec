/**
 * Why a connection is not there, in words. Nest hands on what the client library tells: an error, some text, or an event, which
 * has the URL with its password in it.
 */
export function reasonOf(told: unknown): string {
  if (typeof told === 'string') return told;
  const { err = told } = (told ?? {}) as { err?: unknown };
  return err instanceof Error ? err.message : 'the broker has closed the connection';
}
