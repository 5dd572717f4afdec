/** What makes an HTTP request "the same request", before it is hashed. */
export interface RequestParts {
  readonly method: string;
  /** As it was asked for, so with the values of its parameters. */
  readonly path: string;
  /** Pairs sorted by name; those of one name keep their order. */
  readonly query: readonly (readonly [string, string])[];
  readonly body: unknown;
}

/** Which members of a body are compared: `{ include }` or `{ exclude }`, each a list of dotted paths. */
export type BodySelection = { readonly include: readonly string[] } | { readonly exclude: readonly string[] };

/** The parts of a URL that the fingerprint covers. `?a=1&b=2` is the same request as `?b=2&a=1`, `?a=1` is not `?a=2`. */
export function partsOfUrl(url: string): Pick<RequestParts, 'path' | 'query'> {
  const cut = url.indexOf('?');
  if (cut === -1) return { path: url, query: [] };
  const query = new URLSearchParams(url.slice(cut + 1));
  query.sort();
  return { path: url.slice(0, cut), query: [...query] };
}

export interface BodyHeaders {
  readonly contentType: string | undefined;
  readonly contentLength: string | undefined;
  readonly transferEncoding: string | undefined;
  readonly contentDigest: string | undefined;
}

/** What of the body can be compared. `unavailable`: there is one, but nobody has read it yet. */
export type ComparableBody =
  { readonly kind: 'body'; readonly body: unknown } | { readonly kind: 'unavailable' };

export function comparableBody(body: unknown, headers: BodyHeaders): ComparableBody {
  const sent = headers.transferEncoding !== undefined || Number(headers.contentLength ?? 0) > 0;
  if (!sent) return { kind: 'body', body: null };
  const type = headers.contentType?.toLowerCase() ?? '';
  const multipart = type.startsWith('multipart/');
  // Some parsers leave an empty object where they have read nothing.
  const parsed = /json|urlencoded/.test(type);
  const read = body !== undefined && (parsed || (body !== null && !isEmptyObject(body)));
  // The parts of a multipart body are compared when somebody has parsed them, which is later.
  if (read && !multipart) return { kind: 'body', body };
  // RFC 9530: a digest of the very bytes, whoever reads them later.
  if (headers.contentDigest !== undefined) return { kind: 'body', body: { digest: headers.contentDigest } };
  return { kind: 'unavailable' };
}

/** @returns a copy of the body with only, or without, the members at these paths */
export function selectMembers(body: unknown, selection: BodySelection): unknown {
  if ('include' in selection) {
    return selection.include.map((path) => [path, memberAt(body, path)]);
  }
  return selection.exclude.reduce(without, body);
}

/** The member at a dotted path; own members only. */
export function memberAt(value: unknown, path: string): unknown {
  let current = value;
  for (const name of path.split('.')) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name)) return undefined;
    current = (current as Record<string, unknown>)[name];
  }
  return current;
}

function without(value: unknown, path: string): unknown {
  const [name = '', ...rest] = path.split('.');
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return value;
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<string, unknown>;
  if (rest.length === 0) delete copy[name];
  else copy[name] = without(copy[name], rest.join('.'));
  return copy;
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
