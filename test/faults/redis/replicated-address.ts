import { RedisNode, until } from '../../support/redis-node.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';

export interface Replica {
  readonly node: RedisNode;
  /** What the primary tells this replica is kept back from now on: the replica is behind. */
  cutOff(): void;
  reconnect(): void;
}

/**
 * A primary and its replicas behind one address, as after a failover by DNS or a floating address. Nothing happens by itself:
 * the test says which replica is behind, when the primary dies and who is promoted.
 */
export class ReplicatedAddress {
  private constructor(
    private readonly front: TcpProxy,
    readonly primary: RedisNode,
    readonly replicas: readonly Replica[],
    private readonly others: readonly RedisNode[],
    private readonly links: readonly TcpProxy[],
  ) {}

  static async start(replicas: number): Promise<ReplicatedAddress> {
    const quickly = ['--repl-diskless-sync-delay', '0'];
    const primary = await RedisNode.start({ args: quickly });
    const nodes: Replica[] = [];
    const links: TcpProxy[] = [];
    const others: RedisNode[] = [];
    const replicate = async (port: number) => {
      const node = await RedisNode.start({ args: ['--replicaof', '127.0.0.1', String(port), ...quickly] });
      const inStep = async () => (await node.info('replication'))['master_link_status'] === 'up';
      await until('the replica was in step', inStep);
      return node;
    };
    for (let at = 0; at < replicas; at += 1) {
      const link = await startTcpProxy(primary.port);
      const node = await replicate(link.port);
      links.push(link);
      nodes.push({ node, cutOff: () => link.holdReplies(), reconnect: () => link.releaseReplies() });
      // One of its own, so that it can confirm writes once it is the primary.
      others.push(await replicate(node.port));
    }
    const front = await startTcpProxy(primary.port);
    return new ReplicatedAddress(front, primary, nodes, others, links);
  }

  /** Where clients find the primary. */
  get url(): string {
    return `redis://127.0.0.1:${this.front.port}`;
  }

  /** The primary dies. What it had not yet sent is gone. */
  async failOverTo({ node }: Replica): Promise<void> {
    await this.primary.kill();
    await this.promote({ node });
    this.front.pointTo(node.port);
  }

  /** The replica becomes a primary, whether or not there is another one. */
  async promote({ node }: Pick<Replica, 'node'>): Promise<void> {
    await node.command('REPLICAOF', 'NO', 'ONE');
    const hasReplica = async () => (await node.info('replication'))['connected_slaves'] === '1';
    await until('the new primary had a replica of its own', hasReplica);
  }

  async stop(): Promise<void> {
    await Promise.all([this.front, ...this.links].map((proxy) => proxy.close()));
    const nodes = [this.primary, ...this.replicas.map(({ node }) => node), ...this.others];
    await Promise.all(nodes.filter(({ alive }) => alive).map((node) => node.kill()));
  }
}
