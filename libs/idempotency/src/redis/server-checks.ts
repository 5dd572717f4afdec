import { InvalidOptionsError, StorageUnavailableError } from '../core/errors.js';
import type { StorageHost } from '../core/idempotency-storage.js';
import { evictionWarning } from './eviction.js';
import { infoField } from './info.js';
import type { RedisConnection, RedisServer } from './redis-connection.js';
import { CLUSTER_MEND } from './redis-errors.js';
import type { ReplicaWait } from './replica-wait.js';
import type { RedisScripts } from './scripts/index.js';

/** Loads the scripts into every server, and says what is wrong with how they are set up. */
export async function checkServers(
  connection: RedisConnection,
  scripts: RedisScripts,
  host: StorageHost | undefined,
): Promise<void> {
  const { replicaWait } = connection;
  const warnings = await Promise.all(
    connection.servers().map(async (server) => {
      const loads = Object.values(scripts).map(({ source }) => server.send(['SCRIPT', 'LOAD', source]));
      // What the user may not see is not checked.
      const memory = server.send(['INFO', 'memory']).then(String, () => '');
      const single = connection.clustered ? undefined : refuseClusterNode(connection.where, server);
      checkBytes(await Promise.all(loads));
      await single;
      return [
        evictionWarning(await memory),
        replicaWait === undefined ? undefined : await missingReplicas(server, replicaWait, scripts),
      ];
    }),
  );
  for (const warning of new Set(warnings.flat())) if (warning !== undefined) host?.warn(warning);
}

function checkBytes(hashes: readonly unknown[]): void {
  if (hashes.every((hash) => Buffer.isBuffer(hash))) return;
  throw new InvalidOptionsError(
    'redisStorage: the `client` handed in does not give bytes back, so results would be corrupted. Use the package `redis` 5 or 6, or `ioredis` 5.',
  );
}

/** A cluster of one node answers for every slot, as long as it is one. */
async function refuseClusterNode(where: string, server: RedisServer): Promise<void> {
  const info = await server.send(['INFO', 'cluster']).then(String, () => '');
  if (infoField(info, 'cluster_enabled') !== '1') return;
  const state = await server.send(['CLUSTER', 'INFO']).then(String, () => '');
  if (infoField(state, 'cluster_size') === '1') return;
  throw new InvalidOptionsError(
    `${where} is one node of a Redis Cluster, and answers for a part of the keys alone. Instead, ${CLUSTER_MEND}`,
  );
}

/** @returns what to tell the operator. @throws when WAIT is not allowed, or the client cannot be used with it */
async function missingReplicas(
  server: RedisServer,
  wait: ReplicaWait,
  scripts: RedisScripts,
): Promise<string | undefined> {
  const count = Number(await server.send(['WAIT', String(wait.replicas), String(wait.timeoutMs)]));
  await server
    .send(['SCRIPT', 'LOAD', scripts.view.source], undefined, () => true)
    .catch((error: unknown) => {
      if (!(error instanceof StorageUnavailableError)) throw error;
    });
  if (count >= wait.replicas) return undefined;
  return (
    `redisStorage: \`waitReplicas\` asks for ${wait.replicas}, but ${count} answered within ${wait.timeoutMs} ms (${server.where}). ` +
    'Until there are enough, every operation is refused with `storage-unavailable`.'
  );
}
