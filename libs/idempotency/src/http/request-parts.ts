import { contentDigest } from './content-digest.js';

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

/** What tells whether a request has a body, and what kind of one. */
export interface SentBody {
  readonly contentType: string | undefined;
  readonly contentLength: string | undefined;
  readonly transferEncoding: string | undefined;
  readonly contentDigest: string | undefined;
  /** It is known that no byte of it came. */
  readonly isEmpty: boolean;
}

/** A request of node, as far as its body goes. Mocks and adapters of serverless platforms have less. */
export interface RawBody {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly complete?: boolean;
  readonly readableDidRead?: boolean;
  readonly readableLength?: number;
  /** HTTP/2 has bodies without any header that says so. */
  readonly stream?: { readonly endAfterHeaders?: boolean };
}

export function sentBodyOf(request: RawBody): SentBody {
  const { headers, stream, complete, readableDidRead, readableLength } = request;
  const text = (name: string): string | undefined => headers[name]?.toString();
  return {
    contentType: text('content-type'),
    contentLength: text('content-length'),
    transferEncoding: text('transfer-encoding') ?? (stream?.endAfterHeaders === false ? 'frames' : undefined),
    contentDigest: contentDigest(text('content-digest')),
    isEmpty: complete === true && readableDidRead === false && readableLength === 0,
  };
}

/**
 * What of the body can be compared. `members`: what a parser has made of it. `upload`: a form with files, which is
 * compared by its parts once they are parsed. `unavailable`: there is a body, but nobody has read it yet.
 */
export type ComparableBody =
  | { readonly kind: 'members'; readonly body: unknown }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'digest'; readonly digest: string }
  | { readonly kind: 'upload' }
  | { readonly kind: 'unavailable' };

export function comparableBody(body: unknown, sent: SentBody): ComparableBody {
  const { contentLength, transferEncoding, contentDigest: digest } = sent;
  if (transferEncoding === undefined && !(Number(contentLength ?? 0) > 0)) return NOTHING;
  const type = sent.contentType?.toLowerCase() ?? '';
  // RFC 9530: a digest of the very bytes, whoever reads them later.
  const byDigest: ComparableBody | undefined = digest === undefined ? undefined : { kind: 'digest', digest };
  if (/^multipart\/form-data\b/.test(type)) return byDigest ?? { kind: 'upload' };
  if (isRead(body, type)) {
    if (isEmptyText(body, type)) return NOTHING;
    return body instanceof Uint8Array ? { kind: 'bytes', bytes: body } : { kind: 'members', body };
  }
  return sent.isEmpty ? NOTHING : (byDigest ?? { kind: 'unavailable' });
}

const NOTHING: ComparableBody = { kind: 'members', body: null };

/** Some parsers leave an empty object where they have read nothing, others the stream for the handler to read. */
function isRead(body: unknown, type: string): boolean {
  if (body === undefined || isStream(body)) return false;
  if (/json|urlencoded/.test(type)) return true;
  return body !== null && (body instanceof Uint8Array || !isEmptyObject(body));
}

function isStream(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false;
  const { pipe, getReader } = body as { pipe?: unknown; getReader?: unknown };
  return typeof pipe === 'function' || typeof getReader === 'function';
}

/** As JSON, `""` is a text of no characters, and not nothing. */
function isEmptyText(body: unknown, type: string): boolean {
  return (body === '' && !type.includes('json')) || (body instanceof Uint8Array && body.length === 0);
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
