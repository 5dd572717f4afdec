import type { ExecutionContext } from '@nestjs/common';
import { keyProblem } from '../core/key.js';
import type { HeaderKey } from '../http/key-header.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import type { KeySource, NamedKeySource } from './key-sources.js';
import type { ResolvedOptions } from './resolve-options.js';

/** One execution of a decorated handler, whatever it came by. */
export interface Caller {
  readonly runtime: IdempotencyRuntime;
  readonly plan: { readonly options: ResolvedOptions };
  readonly context: ExecutionContext;
  /** Name of the operation. */
  readonly operation: string;
  readonly correlationId: string;
}

/** Where an execution may have its key. */
export interface KeyPlaces {
  lookUp(source: NamedKeySource): HeaderKey;
  /** In words for the client, such as ``the member `id` of the body``; undefined for what can never be here. */
  describe(source: NamedKeySource): string | undefined;
}

/**
 * Who asks, as text; undefined for nobody in particular.
 *
 * @param user whom guards have put on the request, the socket or the context; asked without `scope`
 * @throws IdempotencyException `scope-missing` when a configured scope yields nothing that names somebody
 */
export async function scopeOf(caller: Caller, user: unknown): Promise<string | undefined> {
  const { context, operation, runtime } = caller;
  const { scope } = caller.plan.options;
  if (scope === undefined) {
    if (user === undefined || user === null || user === false || user === '') return undefined;
    const name = nameOfUser(user);
    if (name !== undefined) return name;
    // Somebody in particular: put among the nameless, one user's key would get another's answer.
    runtime.logScopeMissing(
      operation,
      'is not set, and the user (`request.user`) has no `id`, `sub` or `userId` that is a string or a number',
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

/** What was sent for a key, and where. */
export interface FoundKey {
  readonly where: string;
  /** Absent for a function of the user's own. */
  readonly from: NamedKeySource['from'] | undefined;
  readonly found: Exclude<HeaderKey, { kind: 'absent' }>;
}

/** The first key that is there, readable or not; undefined when there is none. */
export async function findKeyIn({ context, plan }: Caller, places: KeyPlaces): Promise<FoundKey | undefined> {
  for (const source of plan.options.keys) {
    const isFunction = typeof source === 'function';
    const found = isFunction ? keyFromValue(await source(context)) : places.lookUp(source);
    if (found.kind === 'absent') continue;
    if (isFunction) return { where: OWN_KEY, from: undefined, found };
    return { where: places.describe(source) ?? OWN_KEY, from: source.from, found };
  }
  return undefined;
}

const OWN_KEY = 'an idempotency key';

/** What needs to be sent, in words for the client. */
export function wordsForPlaces(sources: readonly KeySource[], places: KeyPlaces): string {
  const words = sources.map((source) => (typeof source === 'function' ? OWN_KEY : places.describe(source)));
  return words
    .filter((word) => word !== undefined)
    .map((word) => word.replace(/^the (.* header)$/, 'an $1'))
    .join(' or ');
}

/** @throws IdempotencyException `key-malformed` */
export function readKey({ where, found }: FoundKey, caller: Caller, scope: string | undefined): string {
  const { problems } = caller.runtime;
  if (found.kind === 'malformed') throw problems.keyMalformed(where, found.reason);
  const reason = keyProblem(found.key, caller.plan.options.keyFormat, scope);
  if (reason !== undefined) throw problems.keyMalformed(where, reason);
  return found.key;
}

/** A key that is a member of something parsed, or what a function answered. */
export function keyFromValue(value: unknown): HeaderKey {
  if (value === undefined || value === null) return { kind: 'absent' };
  if (typeof value === 'string') return { kind: 'key', key: value };
  if (typeof value === 'number' && Number.isSafeInteger(value)) return { kind: 'key', key: String(value) };
  return { kind: 'malformed', reason: 'it is neither a string nor a whole number' };
}
