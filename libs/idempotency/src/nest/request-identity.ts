import type { IncomingMessage } from 'node:http';
import { TooDeepError } from '../core/canonical-json.js';
import { fingerprintOf, NO_FINGERPRINT } from '../core/fingerprint.js';
import { keyProblem } from '../core/key.js';
import { keyFromHeader, type HeaderKey } from '../http/key-header.js';
import {
  comparableBody,
  memberAt,
  partsOfUrl,
  selectMembers,
  type BodySelection,
} from '../http/request-parts.js';
import type { Exchange } from './exchange.js';
import type { HttpRequest } from './http-request.js';
import type { KeySource, NamedKeySource } from './key-sources.js';

/** Where a key was looked for, in words for the client. */
function placeOf(source: KeySource): string {
  if (typeof source === 'function') return 'an idempotency key';
  if (source.from === 'header') return `the ${source.name} header`;
  if (source.from === 'param') return `the parameter \`${source.name}\` of the route`;
  return `the member \`${source.name}\` of the body`;
}

/** What a request needs to send, in words for the client. */
export function keyPlaces(sources: readonly KeySource[]): string {
  return sources
    .filter((source) => typeof source === 'function' || source.from !== 'message')
    .map((source) => {
      if (typeof source === 'function') return 'an idempotency key';
      return source.from === 'header' ? `an ${source.name} header` : placeOf(source);
    })
    .join(' or ');
}

/**
 * Who asks, as text; undefined for nobody in particular.
 *
 * @throws IdempotencyException `scope-missing` when a configured scope yields nothing that names somebody
 */
export async function scopeOf(exchange: Exchange): Promise<string | undefined> {
  const { context, request, operation, runtime } = exchange;
  const { scope } = exchange.plan.options;
  if (scope === undefined) {
    const { user } = request;
    if (user === undefined || user === null || user === false || user === '') return undefined;
    const name = nameOfUser(user);
    if (name !== undefined) return name;
    // Somebody in particular: put among the nameless, one user's key would get another's answer.
    runtime.logScopeMissing(
      operation,
      'is not set, and `request.user` has no `id`, `sub` or `userId` that is a string or a number',
    );
    throw runtime.problems.scopeMissing();
  }
  let found: unknown;
  try {
    found = await scope(context);
  } catch (error) {
    runtime.logScopeMissing(
      operation,
      `threw: ${error instanceof Error ? (error.stack ?? error.message) : typeof error}`,
    );
    throw runtime.problems.scopeMissing(error);
  }
  const text = scopeText(found);
  if (text !== undefined) return text;
  runtime.logScopeMissing(
    operation,
    `yielded ${found === '' ? 'an empty string' : found === null ? 'null' : typeof found}`,
  );
  throw runtime.problems.scopeMissing();
}

function nameOfUser(user: unknown): string | undefined {
  if (typeof user !== 'object' || user === null) return scopeText(user);
  const { id, sub, userId } = user as Record<string, unknown>;
  return scopeText(id) ?? scopeText(sub) ?? scopeText(userId);
}

/** Text that names somebody; undefined for anything that may be equal for two. */
export function scopeText(scope: unknown): string | undefined {
  if (typeof scope === 'string') return scope === '' ? undefined : scope;
  if (typeof scope === 'bigint') return String(scope);
  return typeof scope === 'number' && Number.isFinite(scope) ? String(scope) : undefined;
}

/** What a request sent for a key, and where. */
interface FoundKey {
  readonly where: string;
  readonly found: Exclude<HeaderKey, { kind: 'absent' }>;
}

/** The first key that is there, readable or not; undefined when there is none. */
export async function findKey({ context, request, plan }: Exchange): Promise<FoundKey | undefined> {
  for (const source of plan.options.keys) {
    const found =
      typeof source === 'function' ? keyFromValue(await source(context)) : lookUp(source, request);
    if (found.kind !== 'absent') return { where: placeOf(source), found };
  }
  return undefined;
}

/** @throws IdempotencyException `key-malformed` */
export function readKey({ where, found }: FoundKey, exchange: Exchange, scope: string | undefined): string {
  const { problems } = exchange.runtime;
  if (found.kind === 'malformed') throw problems.keyMalformed(where, found.reason);
  const reason = keyProblem(found.key, exchange.plan.options.keyFormat, scope);
  if (reason !== undefined) throw problems.keyMalformed(where, reason);
  return found.key;
}

function lookUp(source: NamedKeySource, request: HttpRequest): HeaderKey {
  switch (source.from) {
    case 'header':
      return keyFromHeader(headersOnTheWire(request.rawRequest), source.name);
    case 'param':
      return keyFromValue(memberAt(request.params, source.name));
    case 'body':
      return keyFromValue(memberAt(request.body, source.name));
    case 'message': // of a list that the module sets for messages too
      return { kind: 'absent' };
  }
}

/** As they were sent, one by one. Adapters of serverless platforms and mocks only have them joined by name. */
function headersOnTheWire({ rawHeaders, headers }: Partial<IncomingMessage>): readonly string[] {
  if (rawHeaders !== undefined && rawHeaders.length > 0) return rawHeaders;
  return Object.entries(headers ?? {}).flatMap(([name, values]) =>
    [values ?? []].flat().flatMap((value) => [name, value]),
  );
}

function keyFromValue(value: unknown): HeaderKey {
  if (value === undefined || value === null) return { kind: 'absent' };
  if (typeof value === 'string') return { kind: 'key', key: value };
  if (typeof value === 'number' && Number.isSafeInteger(value)) return { kind: 'key', key: String(value) };
  return { kind: 'malformed', reason: 'it is neither a string nor a whole number' };
}

/** @throws IdempotencyException `fingerprint-unavailable` when the body cannot be compared */
export async function fingerprintFor(exchange: Exchange): Promise<string> {
  const { context, operation, runtime } = exchange;
  const { fingerprint } = exchange.plan.options;
  if (fingerprint === false) return NO_FINGERPRINT;
  try {
    if (typeof fingerprint === 'function') return fingerprintOf(['own', await fingerprint(context)]);
    return fingerprintOf(comparedParts(exchange, fingerprint));
  } catch (error) {
    if (!(error instanceof TooDeepError)) throw error;
    throw runtime.problems.fingerprintUnavailable(operation, `its body is ${error.message}`);
  }
}

function comparedParts(
  { request, operation, runtime }: Exchange,
  selection: BodySelection | undefined,
): unknown[] {
  const { headers } = request.rawRequest;
  const comparable = comparableBody(request.body, {
    contentType: headers['content-type'],
    contentLength: headers['content-length'],
    transferEncoding: headers['transfer-encoding'],
    contentDigest: headers['content-digest'] as string | undefined,
  });
  if (comparable.kind === 'unavailable') {
    const type = headers['content-type'] ?? 'unknown type';
    const reason = `its body (${type.slice(0, 80)}) has not been read yet`;
    throw runtime.problems.fingerprintUnavailable(operation, reason);
  }
  const body = selection === undefined ? comparable.body : selectMembers(comparable.body, selection);
  const { path, query } = partsOfUrl(request.url);
  // Parameters in the host name ask for something else, as those in the path do.
  return [request.method, path, query, body, ...(request.hosts === undefined ? [] : [request.hosts])];
}
