import { IdempotencyError, RecordUnreadableError, StorageUnavailableError } from '../core/errors.js';

/** For a client or a url that leads to a single node of a cluster. */
export const CLUSTER_MEND =
  'hand in a cluster client as `client`: `createCluster()` of the package `redis`, or `new Cluster()` of `ioredis`.';

/** What to do about Redis errors that an operator can mend, by the word that they start with. */
const MENDS: Readonly<Record<string, string>> = {
  OOM: 'Redis is full: raise `maxmemory`, or shorten `ttl`.',
  READONLY: 'This is a replica: connect to the primary.',
  NOPERM: 'Give the Redis user the commands that docs/storages.md lists.',
  LOADING: 'Redis is reading its data from disk and will be back by itself.',
  MOVED: `This is a node of a Redis Cluster: ${CLUSTER_MEND}`,
  MISCONF: 'Redis cannot write to its disk: see its log.',
  CLUSTERDOWN: 'A part of the Redis Cluster has no primary, until one is elected: see `CLUSTER NODES`.',
  TRYAGAIN: 'The slot is about to move to another node.',
  MASTERDOWN: 'This is a replica without its primary: connect to the primary.',
  NOREPLICAS: 'Fewer replicas are in step than `min-replicas-to-write` asks for: see `INFO replication`.',
};

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** For a Redis that cannot be used at boot. */
export function unreachable(where: string, reason: string, cause?: unknown): StorageUnavailableError {
  return new StorageUnavailableError(
    `${where} cannot be used: ${reason}. Without it no operation could be protected. ` +
      'Start Redis, or correct the address, the credentials or TLS in the options of redisStorage.',
    cause === undefined ? undefined : { cause },
  );
}

export function asUnreachable(where: string, error: unknown): IdempotencyError {
  return error instanceof IdempotencyError ? error : unreachable(where, messageOf(error), error);
}

/** For a command that failed later. A key of another Redis type is a record that cannot be read. */
export function asStorageError(where: string, error: unknown): IdempotencyError {
  if (error instanceof IdempotencyError) return error;
  const message = messageOf(error);
  const [word = ''] = message.split(' ', 1);
  if (word === 'WRONGTYPE') {
    return new RecordUnreadableError('its Redis key holds a value of another Redis type', { cause: error });
  }
  const mend = MENDS[word];
  return new StorageUnavailableError(
    `${where} did not do what it was asked: ${message}${mend === undefined ? '' : `. ${mend}`}`,
    { cause: error },
  );
}
