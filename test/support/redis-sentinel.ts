import { RedisNode, until } from './redis-node.js';

export interface RedisSentinelOptions {
  /** @default 1 */
  readonly replicas?: number;
  /** @default 3, of which two must give their vote */
  readonly sentinels?: number;
  /** After which a server that does not answer counts as down to the first sentinel; to the next after twice as long. @default 1000 */
  readonly downAfterMs?: number;
  /** Further options of primary and replicas. */
  readonly args?: readonly string[];
}

/** The name that the sentinels know the primary by. */
export const PRIMARY_NAME = 'main';

/**
 * The pace of a sentinel in ms. A ping in time for `downAfterMs`, else a new primary, whose answers start from nothing, is
 * voted out at once; but what is known of a replica is good for five pings, and is asked for once a second while the primary
 * is down. A busy machine makes a sentinel believe that its clock jumped, upon which it does nothing for half a minute: that is
 * made short.
 */
const PACE = {
  'ping-period': '300',
  'info-period': '200',
  'publish-period': '300',
  'ask-period': '100',
  'tilt-period': '1000',
};

/**
 * One sentinel may call the primary down, and the majority must vote for the failover as always. When all of them see it
 * at the same moment, each votes for itself and the next election is seconds away; so they are not equally patient.
 */
const QUORUM = 1;

/** A primary with replicas, watched by sentinels: real processes on 127.0.0.1 that never outlive this one. */
export class RedisSentinel {
  readonly servers: RedisNode[] = [];
  readonly sentinels: RedisNode[] = [];

  private readonly args: readonly string[];

  private constructor(args: readonly string[]) {
    // Else a primary waits for five seconds whether another replica comes, before it sends its data to the first.
    this.args = ['--repl-diskless-sync-delay', '0', ...args];
  }

  static async start({
    replicas = 1,
    sentinels = 3,
    downAfterMs = 1_000,
    args = [],
  }: RedisSentinelOptions = {}): Promise<RedisSentinel> {
    const group = new RedisSentinel(args);
    try {
      await group.build(replicas, sentinels, downAfterMs);
    } catch (error) {
      await group.stop();
      throw error;
    }
    return group;
  }

  /** Where the sentinels are, as clients want it. */
  get addresses(): { host: string; port: number }[] {
    return this.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  /** Whom the sentinels call the primary. */
  async primary(): Promise<RedisNode> {
    const answers = await Promise.all(
      this.sentinels.map((sentinel) => sentinel.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', PRIMARY_NAME)),
    );
    const ports = new Set(answers.map((answer) => Number((answer as [string, string])[1])));
    const server = this.servers.find(({ port, answers }) => answers && ports.has(port));
    if (ports.size !== 1 || server === undefined) throw new Error('The sentinels name no primary that runs.');
    return server;
  }

  async replicas(): Promise<readonly RedisNode[]> {
    const primary = await this.primary();
    return this.servers.filter((server) => server.answers && server !== primary);
  }

  /** The new primary, once every sentinel calls another one so and it takes writes. */
  async failedOverFrom(old: RedisNode, withinMs = 40_000): Promise<RedisNode> {
    let found = old;
    await until(
      'the sentinels agreed on another primary',
      async () => {
        found = await this.primary();
        return found !== old && (await found.info('replication'))['role'] === 'master';
      },
      withinMs,
    );
    return found;
  }

  /** A fresh server that replicates the primary of now. It takes the place of one that was killed. */
  async addReplica(): Promise<RedisNode> {
    const node = await this.startReplica(await this.primary());
    this.servers.push(node);
    await until('the sentinels saw the new replica', async () =>
      (await this.knownTo()).every(({ replicas }) => replicas.includes(node.port)),
    );
    return node;
  }

  /** No failover is under way, and every sentinel knows the others and all replicas, which are in step. */
  async settled(): Promise<void> {
    await until('the sentinels knew each other and all replicas', async () => {
      for (const sentinel of this.sentinels) {
        const state = await sentinel.command('SENTINEL', 'MASTER', PRIMARY_NAME);
        if (entryOf(state, 'flags') !== 'master') return false;
      }
      const replicas = await this.replicas();
      for (const replica of replicas) {
        if ((await replica.info('replication'))['master_link_status'] !== 'up') return false;
      }
      const known = await this.knownTo();
      return known.every(
        ({ sentinels, replicas: ports }) =>
          sentinels === this.sentinels.length - 1 && replicas.every(({ port }) => ports.includes(port)),
      );
    });
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.servers, ...this.sentinels].filter(({ alive }) => alive).map((node) => node.kill()),
    );
  }

  private async build(replicas: number, sentinels: number, downAfterMs: number): Promise<void> {
    const primary = await RedisNode.start({ args: this.args });
    this.servers.push(primary);
    for (let at = 0; at < replicas; at += 1) this.servers.push(await this.startReplica(primary));
    const config = (at: number) =>
      [
        `sentinel monitor ${PRIMARY_NAME} 127.0.0.1 ${primary.port} ${QUORUM}`,
        `sentinel down-after-milliseconds ${PRIMARY_NAME} ${downAfterMs * (at + 1)}`,
        `sentinel failover-timeout ${PRIMARY_NAME} 3000`,
        '',
      ].join('\n');
    for (let at = 0; at < sentinels; at += 1) {
      const sentinel = await RedisNode.start({ args: ['--sentinel'], config: config(at) });
      this.sentinels.push(sentinel);
      await sentinel.command('SENTINEL', 'DEBUG', ...Object.entries(PACE).flat());
    }
    await this.settled();
  }

  private async startReplica(primary: RedisNode): Promise<RedisNode> {
    const replicaOf = ['--replicaof', '127.0.0.1', String(primary.port)];
    const node = await RedisNode.start({ args: [...replicaOf, ...this.args] });
    await until(
      'the replica was in step',
      async () => (await node.info('replication'))['master_link_status'] === 'up',
    );
    return node;
  }

  private async knownTo(): Promise<readonly { sentinels: number; replicas: readonly number[] }[]> {
    return Promise.all(
      this.sentinels.map(async (sentinel) => {
        const [others, replicas] = await Promise.all([
          sentinel.command('SENTINEL', 'SENTINELS', PRIMARY_NAME),
          sentinel.command('SENTINEL', 'REPLICAS', PRIMARY_NAME),
        ]);
        const ports = (replicas as unknown[]).map((replica) => Number(entryOf(replica, 'port')));
        return { sentinels: (others as unknown[]).length, replicas: ports };
      }),
    );
  }
}

/** A map as the client gives it, whichever it prefers. */
function entryOf(map: unknown, name: string): string | undefined {
  return map instanceof Map ? (map.get(name) as string) : (map as Record<string, string>)[name];
}
