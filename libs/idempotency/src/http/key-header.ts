/** What a client sent in a header for a key. */
export type HeaderKey =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Reads a key from a header: an RFC 8941 String (`"…"`, as draft-ietf-httpapi-idempotency-key-header asks for) or a bare
 * value; both forms name the same key.
 *
 * @param rawHeaders names and values in turn, as node keeps them: only there a repeated header can be told from one
 */
export function keyFromHeader(rawHeaders: readonly string[], name: string): HeaderKey {
  const lower = name.toLowerCase();
  const values: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === lower) values.push(rawHeaders[index + 1] ?? '');
  }
  const [value] = values;
  if (value === undefined) return { kind: 'absent' };
  if (values.length > 1) return { kind: 'malformed', reason: 'the header was sent more than once' };
  return unquote(value.trim());
}

function unquote(value: string): HeaderKey {
  if (!value.startsWith('"')) return { kind: 'key', key: value };
  // RFC 8941 section 3.3.3: only the quote and the backslash are escaped, and only printable ASCII is allowed.
  if (!/^"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"$/.test(value)) {
    return { kind: 'malformed', reason: 'it starts with a quote but is not an RFC 8941 String' };
  }
  return { kind: 'key', key: value.slice(1, -1).replace(/\\(["\\])/g, '$1') };
}
