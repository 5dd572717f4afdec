import type { ExecutionContext } from '@nestjs/common';
import { TooDeepError } from '../core/canonical-json.js';
import { fingerprintOf, NO_FINGERPRINT } from '../core/fingerprint.js';
import { keyProblem } from '../core/key.js';
import { keyFromHeader } from '../http/key-header.js';
import { comparableBody, memberAt, partsOfUrl, selectMembers } from '../http/request-parts.js';
import type { HttpRequest } from './http-request.js';
import type { KeySource } from './key-sources.js';
import type { Problems } from './problems.js';
import type { ResolvedOptions } from './resolve-options.js';

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
export async function scopeOf(
  context: ExecutionContext,
  request: HttpRequest,
  options: ResolvedOptions,
  problems: Problems,
): Promise<string | undefined> {
  if (options.scope === undefined) return defaultScope(request.user);
  let scope: unknown;
  try {
    scope = await options.scope(context);
  } catch (error) {
    throw problems.scopeMissing(error);
  }
  const text = scopeText(scope);
  if (text === undefined) throw problems.scopeMissing();
  return text;
}

function defaultScope(user: unknown): string | undefined {
  if (typeof user !== 'object' || user === null) return scopeText(user);
  const { id, sub, userId } = user as Record<string, unknown>;
  return scopeText(id) ?? scopeText(sub) ?? scopeText(userId);
}

function scopeText(scope: unknown): string | undefined {
  if (typeof scope === 'string') return scope === '' ? undefined : scope;
  if (typeof scope === 'bigint') return String(scope);
  return typeof scope === 'number' && Number.isFinite(scope) ? String(scope) : undefined;
}

/**
 * The key of a request; undefined when there is none.
 *
 * @throws IdempotencyException `key-malformed`
 */
export function keyOf(
  context: ExecutionContext,
  request: HttpRequest,
  options: ResolvedOptions,
  scope: string | undefined,
  problems: Problems,
): string | undefined {
  for (const source of options.keys) {
    const found = lookUp(source, context, request);
    if (found.kind === 'absent') continue;
    const where = placeOf(source);
    if (found.kind === 'malformed') throw problems.keyMalformed(where, found.reason);
    const reason = keyProblem(found.key, options.keyFormat, scope);
    if (reason !== undefined) throw problems.keyMalformed(where, reason);
    return found.key;
  }
  return undefined;
}

function lookUp(
  source: KeySource,
  context: ExecutionContext,
  request: HttpRequest,
): ReturnType<typeof keyFromHeader> {
  if (typeof source === 'function') return keyFromValue(source(context));
  if (source.from === 'header') return keyFromHeader(request.rawRequest.rawHeaders, source.name);
  if (source.from === 'param') return keyFromValue(memberAt(request.params, source.name));
  return keyFromValue(memberAt(request.body, source.name));
}

function keyFromValue(value: unknown): ReturnType<typeof keyFromHeader> {
  if (value === undefined || value === null) return { kind: 'absent' };
  if (typeof value === 'string') return { kind: 'key', key: value };
  if (typeof value === 'number' && Number.isSafeInteger(value)) return { kind: 'key', key: String(value) };
  return { kind: 'malformed', reason: 'it is neither a string nor a whole number' };
}

/** @throws IdempotencyException `fingerprint-unavailable` when the body cannot be compared */
export async function fingerprintFor(
  context: ExecutionContext,
  request: HttpRequest,
  options: ResolvedOptions,
  operation: string,
  problems: Problems,
): Promise<string> {
  const { fingerprint } = options;
  if (fingerprint === false) return NO_FINGERPRINT;
  try {
    if (typeof fingerprint === 'function') return fingerprintOf(['own', await fingerprint(context)]);
    const { headers } = request.rawRequest;
    const comparable = comparableBody(request.body, {
      contentType: headers['content-type'],
      contentLength: headers['content-length'],
      transferEncoding: headers['transfer-encoding'],
      contentDigest: headers['content-digest'] as string | undefined,
    });
    if (comparable.kind === 'unavailable') {
      const type = headers['content-type'] ?? 'unknown type';
      throw problems.fingerprintUnavailable(
        operation,
        `its body (${type.slice(0, 80)}) has not been read yet`,
      );
    }
    const body = fingerprint === undefined ? comparable.body : selectMembers(comparable.body, fingerprint);
    const { path, query } = partsOfUrl(request.url);
    return fingerprintOf([request.method, path, query, body]);
  } catch (error) {
    if (error instanceof TooDeepError)
      throw problems.fingerprintUnavailable(operation, `its body is ${error.message}`);
    throw error;
  }
}
