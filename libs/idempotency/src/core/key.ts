/** What a key must look like; see `keyFormat` in the options. */
export type KeyFormat = 'uuid' | 'strong' | RegExp | ((key: string) => boolean);

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Longest key in bytes; room for any id in use, and no room to fill a storage with. */
export const MAX_KEY_BYTES = 255;

/** Why a key is not a key, in words for the client; `undefined` when it is one. Never quotes the key. */
export function keyProblem(
  key: string,
  format: KeyFormat | undefined,
  scope: string | undefined,
): string | undefined {
  if (key.length === 0) return 'it is empty';
  if (key.length > MAX_KEY_BYTES) return `it is longer than ${MAX_KEY_BYTES} bytes`;
  if (!/^[\x20-\x7e]*$/.test(key)) return 'it holds characters other than printable ASCII';
  if (key.trim().length === 0) return 'it is blank';
  if (format === undefined) return undefined;
  if (format === 'uuid') return UUID.test(key) ? undefined : 'it is not a UUID';
  if (format === 'strong') return weakness(key, scope);
  // A RegExp with the `g` or `y` flag would remember where its last match ended.
  const fits: unknown = typeof format === 'function' ? format(key) : key.search(format) !== -1;
  // A promise is true, whatever it comes to.
  if (fits instanceof Promise) {
    fits.catch(() => {});
    throw new TypeError('`keyFormat` must answer true or false at once; it answered a promise.');
  }
  return fits ? undefined : 'it does not have the form that this operation asks for';
}

function weakness(key: string, scope: string | undefined): string | undefined {
  if (key.length < 16) return 'it is shorter than 16 bytes';
  if (/^[\d\s.:-]+$/.test(key) && !UUID.test(key)) return 'it is made of digits only';
  if (key === scope) return 'it is the name of the user or tenant';
  return undefined;
}
