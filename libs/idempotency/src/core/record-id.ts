import { createHash } from 'node:crypto';

/** What makes a record's identity. `scope` is undefined for callers that are nobody in particular. */
export interface RecordIdentity {
  readonly namespace: string;
  readonly operation: string;
  readonly scope: string | undefined;
  readonly key: string;
}

/**
 * `namespace|operation|hash`: readable where operators need it, findable by prefix, and without the raw key or user.
 *
 * Scope and key are quoted before they are hashed and the operation is escaped, so no separator inside them can make two
 * identities collide. Braces are escaped too: Redis Cluster would read them as a hash tag and put a whole route on one
 * node.
 */
export function recordId({ namespace, operation, scope, key }: RecordIdentity): string {
  const whoAndWhat = JSON.stringify([scope ?? null, key]);
  return `${operationPrefix(namespace, operation)}${createHash('sha256').update(whoAndWhat).digest('base64url')}`;
}

/** What the ids of all records of an operation start with; without an operation, of a namespace. */
export function operationPrefix(namespace: string, operation?: string): string {
  return operation === undefined ? `${namespace}|` : `${namespace}|${escape(operation)}|`;
}

/**
 * The id under which a lock is kept. No namespace holds a `%`, so it is no record of any namespace, and whoever walks over the
 * records of one does not meet it. Like keys, names of locks are not kept: they often name somebody.
 */
export function lockId(namespace: string, name: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify(['lock', name]))
    .digest('base64url');
  return `${namespace}${LOCK_MARK}|${hash}`;
}

export function isLockId(id: string): boolean {
  return id.slice(0, id.indexOf('|')).endsWith(LOCK_MARK);
}

const LOCK_MARK = '%lock';

/** The operation in a record id, for people. */
export function operationOf(id: string): string {
  if (isLockId(id)) return LOCK_OPERATION;
  const [, operation = ''] = id.split('|');
  try {
    return decodeURIComponent(operation);
  } catch {
    return operation;
  }
}

/** What events and logs say for locks. */
export const LOCK_OPERATION = 'lock';

/** A short name for a key in logs: the same key gives the same name, and the key cannot be read from it. */
export function keyHash(id: string): string {
  return id.slice(id.lastIndexOf('|') + 1, id.lastIndexOf('|') + 13);
}

function escape(text: string): string {
  return text.replace(/[%|{}]|[^\x20-\x7e]/gu, (character) =>
    // `encodeURIComponent` refuses half a surrogate pair, which bytes cannot hold.
    encodeURIComponent(Buffer.from(character).toString()),
  );
}
