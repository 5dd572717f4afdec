import type { ClusterClient, ClusterNode } from '../cluster-client.js';
import { clusterSlot } from '../cluster-slot.js';
import type { RedisCommand } from '../redis-client.js';
import {
  fromNodeRedis,
  sentByUs,
  withoutErrorListener,
  type NodeRedisClient,
  type NodeRedisCommandOptions,
} from './node-redis.js';

/** The members of what `createCluster()` of the package `redis` makes that are used. */
export interface NodeRedisCluster {
  readonly isOpen: boolean;
  readonly slots: readonly { readonly master: NodeRedisClusterNode }[];
  readonly masters: readonly NodeRedisClusterNode[];
  readonly nodeByAddress: ReadonlyMap<string, NodeRedisClusterNode>;
  readonly _keyPrefix?: string | Buffer;
  nodeClient(node: NodeRedisClusterNode): Promise<NodeRedisClient>;
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean,
    command: RedisCommand,
    options?: NodeRedisCommandOptions,
  ): Promise<unknown>;
  listenerCount?(event: 'error'): number;
}

/** A node as a cluster client of the package `redis` knows it. */
export interface NodeRedisClusterNode {
  readonly address: string;
  readonly client?: NodeRedisClient;
  readonly connectPromise?: Promise<unknown>;
}

const LOOK_TIMEOUT_MS = 1_000;

export function fromNodeRedisCluster(cluster: NodeRedisCluster): ClusterClient {
  const adapt = (node: NodeRedisClusterNode): ClusterNode => new Node(cluster, node);
  return {
    isOpen: () => cluster.isOpen,
    isReady: () => cluster.masters.length > 0,
    warnings: () => withoutErrorListener(cluster),
    keyPrefix: sentByUs(cluster._keyPrefix),
    primaryOf(slot) {
      const node = cluster.slots[slot]?.master;
      return node && adapt(node);
    },
    primaries: () => cluster.masters.map(adapt),
    nodeAt(address) {
      const node = cluster.nodeByAddress.get(address);
      return node && adapt(node);
    },
    // A read of its own is answered with MOVED, upon which it asks for the slots. While the node of the slot is away it
    // goes to any other, since some versions wait for that node for ever. The timeout takes it back unsent.
    async lookAgain(key, elsewhere) {
      const away = elsewhere || cluster.slots[clusterSlot(key)]?.master.client?.isReady !== true;
      await cluster.sendCommand(away ? undefined : key, false, ['PTTL', key], { timeout: LOOK_TIMEOUT_MS });
    },
  };
}

const adapted = new WeakMap<NodeRedisClient, ReturnType<typeof fromNodeRedis>>();

class Node implements ClusterNode {
  constructor(
    private readonly cluster: NodeRedisCluster,
    private readonly node: NodeRedisClusterNode,
  ) {}

  get address(): string {
    return this.node.address;
  }

  get identity(): object | undefined {
    return this.node.client;
  }

  get client(): ReturnType<typeof fromNodeRedis> | undefined {
    const { client } = this.node;
    if (client === undefined) return undefined;
    const known = adapted.get(client) ?? fromNodeRedis(client);
    adapted.set(client, known);
    return known;
  }

  get connect(): (() => Promise<unknown>) | undefined {
    const { cluster, node } = this;
    if (node.client !== undefined && node.connectPromise === undefined) return undefined;
    return () => cluster.nodeClient(node);
  }
}
