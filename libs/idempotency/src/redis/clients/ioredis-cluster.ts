import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterClient, ClusterNode } from '../cluster-client.js';
import type { KeyPrefix, RedisClient } from '../redis-client.js';
import { fromIoredis, tooHasty, type IoredisClient, type IoredisOptions } from './ioredis.js';

/** The members of a `Cluster` of the package `ioredis` 5 that are used. */
export interface IoredisCluster {
  readonly status: string;
  readonly isCluster: boolean;
  /** For each slot the addresses of its primary and of its replicas. */
  readonly slots: readonly (readonly string[])[];
  readonly options: {
    readonly keyPrefix?: string;
    readonly natMap?: NatMap;
    readonly redisOptions?: IoredisOptions;
  };
  nodes(role?: 'all' | 'master'): readonly IoredisClient[];
  refreshSlotsCache(callback: (error?: Error | null) => void): void;
  callBuffer(name: string, ...args: (string | Buffer)[]): Promise<unknown>;
}

interface Address {
  readonly host: string;
  readonly port: number;
}
type NatMap = Readonly<Record<string, Address>> | ((address: string) => Address | null);

const READY_POLL_MS = 10;

export function fromIoredisCluster(cluster: IoredisCluster): ClusterClient {
  const keyPrefix = prefixOf(cluster.options);
  const find = (address: string | undefined): ClusterNode | undefined => {
    const redis = cluster.nodes('all').find((node) => addressOf(node) === address);
    return redis && new Node(redis);
  };
  return {
    isOpen: () => !['wait', 'disconnecting', 'end'].includes(cluster.status),
    isReady: () => cluster.status === 'ready',
    warnings: () => tooHasty(cluster.options.redisOptions ?? {}),
    keyPrefix,
    primaryOf: (slot) => find(cluster.slots[slot]?.[0]),
    primaries: () => cluster.nodes('master').map((redis) => new Node(redis)),
    nodeAt: (address) => find(translated(address, cluster.options.natMap)),
    // A read of its own is answered with MOVED, upon which it asks for the slots. To its own it adds the prefix by itself.
    async lookAgain(key, elsewhere) {
      // It would be queued.
      if (cluster.status !== 'ready') return;
      // It asks one node after another, until one answers in time.
      if (elsewhere) return new Promise((resolve) => cluster.refreshSlotsCache(() => resolve()));
      await cluster.callBuffer('PTTL', key.slice(keyPrefix.sent.length));
    },
  };
}

/** The nodes add their own prefix to a command, and not that of the cluster. */
function prefixOf({ keyPrefix = '', redisOptions }: IoredisCluster['options']): KeyPrefix {
  const { keyPrefix: ofNodes = '' } = redisOptions ?? {};
  return ofNodes === '' ? { stored: keyPrefix, sent: keyPrefix } : { stored: ofNodes, sent: '' };
}

/** As ioredis names its nodes. */
function addressOf({ options }: IoredisClient): string {
  return `${options.host ?? '127.0.0.1'}:${options.port ?? 6379}`;
}

function translated(address: string, natMap: NatMap | undefined): string {
  const mapped = typeof natMap === 'function' ? natMap(address) : natMap?.[address];
  return mapped ? `${mapped.host}:${mapped.port}` : address;
}

const adapted = new WeakMap<IoredisClient, RedisClient>();

class Node implements ClusterNode {
  readonly address: string;
  readonly client: RedisClient;

  constructor(readonly identity: IoredisClient) {
    this.address = addressOf(identity);
    this.client = adapted.get(identity) ?? fromIoredis(identity);
    adapted.set(identity, this.client);
  }

  /** ioredis connects a node with its first command, and drops one whose connection is lost. */
  get connect(): (() => Promise<unknown>) | undefined {
    const redis = this.identity;
    if (!['wait', 'connecting', 'connect'].includes(redis.status)) return undefined;
    return () => {
      const attempt = attempts.get(redis) ?? connected(redis).finally(() => attempts.delete(redis));
      attempts.set(redis, attempt);
      return attempt;
    };
  }
}

/** A node that does not answer stays so for seconds, and is asked for by every call about its keys: they share one wait. */
const attempts = new WeakMap<IoredisClient, Promise<void>>();

/** Resolves also when it has failed. */
async function connected(redis: IoredisClient): Promise<void> {
  if (redis.status === 'wait') redis.connect().catch(() => {});
  while (['connecting', 'connect'].includes(redis.status)) await sleep(READY_POLL_MS);
}
