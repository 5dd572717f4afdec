import { RedisNode, until } from './redis-node.js';

export interface RedisReplicatedOptions {
  /** @default 1 */
  readonly replicas?: number;
  /** Of the primary. @default one that is free */
  readonly port?: number;
}

/** A primary and its replicas, without anybody who watches them. */
export class RedisReplicated {
  private constructor(
    readonly primary: RedisNode,
    readonly replicas: readonly RedisNode[],
  ) {}

  static async start({ replicas = 1, port }: RedisReplicatedOptions = {}): Promise<RedisReplicated> {
    // Else the primary waits for five seconds whether another replica comes, before it sends its data to the first.
    const args = ['--repl-diskless-sync-delay', '0'];
    const primary = await RedisNode.start({ args, ...(port === undefined ? {} : { port }) });
    const followers: RedisNode[] = [];
    for (let at = 0; at < replicas; at += 1) {
      const node = await RedisNode.start({
        args: [...args, '--replicaof', '127.0.0.1', String(primary.port)],
      });
      followers.push(node);
      await until(
        'the replica was in step',
        async () => (await node.info('replication'))['master_link_status'] === 'up',
      );
    }
    return new RedisReplicated(primary, followers);
  }

  async stop(): Promise<void> {
    const running = [this.primary, ...this.replicas].filter(({ alive }) => alive);
    await Promise.all(running.map((node) => node.kill()));
  }
}
