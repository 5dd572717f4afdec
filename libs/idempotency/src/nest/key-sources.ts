import type { ExecutionContext } from '@nestjs/common';

/** Where a key is looked for. */
export type KeySource = KeyFunction | NamedKeySource;

/** A key, or nothing when there is none here; it may be a promise. */
export type KeyFunction = (
  context: ExecutionContext,
) => string | undefined | null | Promise<string | undefined | null>;

/** A place in a request or message where a key is looked for; made by `headerKey()`, `bodyKey()`, `paramKey()`, `messageKey()`. */
export interface NamedKeySource {
  readonly from: 'header' | 'body' | 'param' | 'message';
  /** Header name, dotted path or parameter name. */
  readonly name: string;
}

/** The key is in this HTTP header. Both `K` and `"K"` (RFC 8941) name the key K. */
export function headerKey(name: string): NamedKeySource {
  return { from: 'header', name };
}

/** The key is this member of the HTTP body, for example `'idempotency_key'` or `'meta.id'`: a string or a number. */
export function bodyKey(path: string): NamedKeySource {
  return { from: 'body', name: path };
}

/** The key is this parameter of the route. */
export function paramKey(name: string): NamedKeySource {
  return { from: 'param', name };
}

/** The key is this member of the message, or of the arguments of a GraphQL field: `'id'`, `'input.clientMutationId'`. */
export function messageKey(path: string): NamedKeySource {
  return { from: 'message', name: path };
}

export function isNamedKeySource(value: unknown): value is NamedKeySource {
  return typeof value === 'object' && value !== null && 'from' in value && 'name' in value;
}
