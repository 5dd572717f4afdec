/** Bytes of a digest by algorithm, the preferred one first. Those that RFC 9530 calls insecure tell nothing apart. */
const ALGORITHMS: readonly (readonly [name: string, bytes: number])[] = [
  ['sha-256', 32],
  ['sha-512', 64],
];

/** One member of the dictionary: a name, a byte sequence, parameters that say nothing about the content. */
const MEMBER = /^\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([a-z0-9+/]*={0,2}):\s*(?:;.*)?$/i;

/**
 * What a `Content-Digest` header (RFC 9530) says about the very bytes of a request: `sha-256:…`, else `sha-512:…`.
 *
 * It is believed and not checked: whoever sends the digest of something else compares that with itself.
 *
 * @returns undefined without one that can be relied on; a member that is malformed counts as not sent
 */
export function contentDigest(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const sent = new Map<string, Buffer>();
  for (const member of header.split(',')) {
    const [, name = '', value = ''] = MEMBER.exec(member) ?? [];
    // Of a name that is sent twice the last one counts (RFC 8941).
    sent.set(name.toLowerCase(), Buffer.from(value, 'base64'));
  }
  for (const [name, bytes] of ALGORITHMS) {
    const digest = sent.get(name);
    if (digest?.length === bytes) return `${name}:${digest.toString('base64')}`;
  }
  return undefined;
}
