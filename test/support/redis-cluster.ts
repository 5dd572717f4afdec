import { freePort } from './free-port.js';
import { fieldsOf, RedisNode, until } from './redis-node.js';
import { SlotMove } from './slot-move.js';

export interface RedisClusterOptions {
  /** @default 3, the fewest that can elect */
  readonly masters?: number;
  /** For each master. @default 0 */
  readonly replicas?: number;
  /** After which a node that does not answer counts as failed. @default 1000 */
  readonly nodeTimeoutMs?: number;
}

export interface Shard {
  readonly master: RedisNode;
  readonly replicas: readonly RedisNode[];
}

/** First slot, last slot, and address and port of the master and its replicas. */
type SlotRange = [number, number, [string, number], ...[string, number][]];

const SLOTS = 16_384;
const START_ATTEMPTS = 5;

/** A Redis Cluster of real `redis-server` processes on 127.0.0.1. It never outlives this process. */
export class RedisCluster {
  readonly masters: RedisNode[] = [];
  readonly replicas: RedisNode[] = [];

  private constructor(private readonly nodeTimeoutMs: number) {}

  static async start({
    masters = 3,
    replicas = 0,
    nodeTimeoutMs = 1_000,
  }: RedisClusterOptions = {}): Promise<RedisCluster> {
    const cluster = new RedisCluster(nodeTimeoutMs);
    try {
      await cluster.build(masters, replicas);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** All that run, and do not stand still. */
  get nodes(): readonly RedisNode[] {
    return [...this.masters, ...this.replicas].filter(({ answers }) => answers);
  }

  get urls(): readonly string[] {
    return this.nodes.map(({ url }) => url);
  }

  /** The replica of a master, as they were at the start. */
  replicaOf(master: RedisNode): RedisNode {
    const replica = this.replicas[this.masters.indexOf(master)];
    if (replica === undefined) throw new Error('This node has no replica.');
    return replica;
  }

  async slotOf(key: string): Promise<number> {
    return Number(await this.anyNode().command('CLUSTER', 'KEYSLOT', key));
  }

  /** Who has slots now and who replicates them, whatever they were at the start. */
  async shards(asked: RedisNode = this.anyNode()): Promise<readonly Shard[]> {
    const ranges = (await asked.command('CLUSTER', 'SLOTS')) as SlotRange[];
    const shards = new Map<RedisNode, Shard>();
    for (const [, , ...ports] of ranges) {
      const [master, ...replicas] = ports.map(([, port]) =>
        this.nodes.find((node) => node.port === Number(port)),
      );
      if (master === undefined) continue;
      shards.set(master, { master, replicas: replicas.filter((replica) => replica !== undefined) });
    }
    return [...shards.values()];
  }

  /** Who serves the slot, as `asked` sees it. */
  async ownerOf(slot: number, asked: RedisNode = this.anyNode()): Promise<RedisNode> {
    const ranges = (await asked.command('CLUSTER', 'SLOTS')) as SlotRange[];
    const range = ranges.find(([first, last]) => first <= slot && slot <= last);
    const owner = this.nodes.find(({ port }) => port === Number(range?.[2][1]));
    if (owner === undefined) throw new Error(`Slot ${slot} has no owner.`);
    return owner;
  }

  /** Sets the slot MIGRATING and IMPORTING. What happens next, and when, is the caller's. */
  async startMove(slot: number, from: RedisNode, to: RedisNode): Promise<SlotMove> {
    const masters = async () => (await this.shards()).map(({ master }) => master);
    return SlotMove.start(
      slot,
      { node: from, id: await idOf(from) },
      { node: to, id: await idOf(to) },
      masters,
    );
  }

  /** The whole of it, as `redis-cli --cluster reshard` does it. */
  async moveSlot(slot: number, from: RedisNode, to: RedisNode): Promise<void> {
    const move = await this.startMove(slot, from, to);
    while ((await move.migrateKeys(100)) > 0);
    await move.finish();
  }

  /**
   * Makes a replica the master. Without `force` the two agree first and nothing is lost; `TAKEOVER` asks nobody, as
   * when the others are out of reach.
   */
  async promote(replica: RedisNode, force?: 'FORCE' | 'TAKEOVER'): Promise<void> {
    await replica.command('CLUSTER', 'FAILOVER', ...(force === undefined ? [] : [force]));
    await this.becomesMaster(replica);
  }

  async becomesMaster(replica: RedisNode): Promise<void> {
    await until(
      'the replica became master',
      async () => (await replica.info('replication'))['role'] === 'master',
    );
  }

  /** The replica has what its master has. */
  async inStep(replica: RedisNode): Promise<void> {
    await until('the replica was in step', async () => {
      return (await replica.info('replication'))['master_link_status'] === 'up';
    });
  }

  /** Every node that runs serves all slots, and agrees about who has and who replicates them. */
  async settled(withinMs?: number): Promise<void> {
    const view = async (node: RedisNode): Promise<string> => {
      const { cluster_state: state } = fieldsOf(String(await node.command('CLUSTER', 'INFO')));
      if (state !== 'ok') throw new Error(`${node.port} says that the cluster is ${state}.`);
      const ranges = (await node.command('CLUSTER', 'SLOTS')) as SlotRange[];
      return ranges
        .map(([first, last, [, master], ...replicas]) => {
          const ports = replicas.map(([, port]) => port).sort();
          return `${first}-${last}:${master}(${ports.join(' ')})`;
        })
        .sort()
        .join(' ');
    };
    const agreed = async () => new Set(await Promise.all(this.nodes.map(view))).size === 1;
    await until('all nodes of the cluster agreed', agreed, withinMs);
  }

  /** A fresh node that replicates `master`. It takes the place of a node that was killed. */
  async addReplica(master: RedisNode): Promise<RedisNode> {
    const node = await startNode(this.nodeTimeoutMs);
    await this.meet(node);
    this.replicas.push(node);
    await replicate(node, master);
    return node;
  }

  async stop(): Promise<void> {
    const nodes = [...this.masters, ...this.replicas].filter(({ alive }) => alive);
    await Promise.all(nodes.map((node) => node.kill()));
  }

  private async build(masters: number, replicas: number): Promise<void> {
    for (let at = 0; at < masters * (1 + replicas); at += 1) {
      const node = await startNode(this.nodeTimeoutMs);
      (at < masters ? this.masters : this.replicas).push(node);
    }
    for (const [at, master] of this.masters.entries()) {
      const [first, next] = [at, at + 1].map((part) => Math.floor((part * SLOTS) / masters)) as [
        number,
        number,
      ];
      await master.command('CLUSTER', 'SET-CONFIG-EPOCH', String(at + 1));
      await master.command('CLUSTER', 'ADDSLOTSRANGE', String(first), String(next - 1));
    }
    for (const node of this.nodes.slice(1)) await this.meet(node);
    await until('all nodes knew each other', async () => {
      const infos = await Promise.all(this.nodes.map((node) => node.command('CLUSTER', 'INFO')));
      return infos.every(
        (info) => Number(fieldsOf(String(info))['cluster_known_nodes']) === this.nodes.length,
      );
    });
    await Promise.all(
      this.replicas.map((replica, at) => replicate(replica, this.masters[at % masters] as RedisNode)),
    );
    await until('every master had its replicas', async () => {
      return (await this.shards()).every((shard) => shard.replicas.length === replicas);
    });
    await this.settled();
  }

  private async meet(node: RedisNode): Promise<void> {
    const known = this.anyNode();
    const bus = /^\S+ [^:]+:\d+@(\d+)/.exec(await myself(known))?.[1] ?? '';
    await node.command('CLUSTER', 'MEET', '127.0.0.1', String(known.port), bus);
  }

  private anyNode(): RedisNode {
    const node = this.nodes[0];
    if (node === undefined) throw new Error('No node of the cluster runs.');
    return node;
  }
}

async function startNode(nodeTimeoutMs: number): Promise<RedisNode> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await RedisNode.start({ args: await nodeOptions(nodeTimeoutMs) });
    } catch (error) {
      // The bus has a port of its own, which somebody else may have taken since it was found free.
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}

async function nodeOptions(nodeTimeoutMs: number): Promise<readonly string[]> {
  const options = {
    'cluster-enabled': 'yes',
    'cluster-port': String(await freePort()),
    'cluster-announce-ip': '127.0.0.1',
    'cluster-node-timeout': String(nodeTimeoutMs),
    // Else a replica that has not heard of its master for long enough never stands for election.
    'cluster-replica-validity-factor': '0',
    'repl-diskless-sync-delay': '0',
    // A replica without an offset is not shown in CLUSTER SLOTS, and it has one with the first ping: else that is after 10 s.
    'repl-ping-replica-period': '1',
  };
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}

async function idOf(node: RedisNode): Promise<string> {
  return String(await node.command('CLUSTER', 'MYID'));
}

async function myself(node: RedisNode): Promise<string> {
  const lines = String(await node.command('CLUSTER', 'NODES')).split('\n');
  return lines.find((line) => line.includes('myself')) ?? '';
}

async function replicate(replica: RedisNode, master: RedisNode): Promise<void> {
  const id = await idOf(master);
  await until(
    'the replica accepted its master',
    async () => (await replica.command('CLUSTER', 'REPLICATE', id)) === 'OK',
  );
  await until(
    'the replica was in step',
    async () => (await replica.info('replication'))['master_link_status'] === 'up',
  );
}
