import { type RedisCluster, type Shard } from '../../support/redis-cluster.js';
import { until, type RedisNode } from '../../support/redis-node.js';
import type { RedisSentinel } from '../../support/redis-sentinel.js';

/** What befalls the primary. Frozen, it comes back and believes for a moment that it still is the primary. */
export type Fault = 'killed' | 'frozen';

const isReplica = (node: RedisNode) => async () => (await node.info('replication'))['role'] === 'slave';

/**
 * A master of the cluster is killed or frozen until its replica has taken over, and there is a replica again in the end.
 *
 * @param whileFrozen runs while the old master still stands still
 */
export async function failOverCluster(
  cluster: RedisCluster,
  { master, replicas: [replica] }: Shard,
  fault: Fault,
  whileFrozen: () => Promise<void> = async () => {},
): Promise<void> {
  if (replica === undefined) throw new Error('The master has no replica.');
  if (fault === 'killed') await master.kill();
  else master.pause();
  await cluster.becomesMaster(replica);
  if (fault === 'killed') {
    await cluster.addReplica(replica);
  } else {
    await whileFrozen();
    master.resume();
    await until('the old master heard that it is a replica', isReplica(master));
    await cluster.inStep(master);
  }
  await cluster.settled();
}

/** The primary is killed or frozen until the sentinels have promoted another one, and there are as many replicas again. */
export async function failOverSentinel(
  group: RedisSentinel,
  fault: Fault,
  whileFrozen: () => Promise<void> = async () => {},
): Promise<void> {
  const primary = await group.primary();
  if (fault === 'killed') await primary.kill();
  else primary.pause();
  await group.failedOverFrom(primary);
  if (fault === 'killed') {
    await group.addReplica();
  } else {
    await whileFrozen();
    primary.resume();
    await until('the old primary heard that it is a replica', isReplica(primary));
  }
  await group.settled();
}
