import { performance } from 'node:perf_hooks';
import { StorageUnavailableError } from '../core/errors.js';
import type { StorageHost } from '../core/idempotency-storage.js';
import type { ClusterClient, ClusterNode } from './cluster-client.js';
import { clusterSlot } from './cluster-slot.js';
import { notSent } from './command-gate.js';
import type { KeyPrefix, RedisCommand } from './redis-client.js';
import { beforeDeadline, untilReady, type RedisConnection, type RedisServer } from './redis-connection.js';
import { messageOf } from './redis-errors.js';
import { commandLine, type CommandLine, type IsChange, type ReplicaWait } from './replica-wait.js';

/** Slots that move while they are asked for send a command on once or twice. */
const MAX_REDIRECTIONS = 5;
/** For a first connection to a node, and for looking where a slot is now. Longer than that nobody waits for a claim. */
const PATIENCE_MS = 1_000;
/** A master that is silent for so long may have been replaced. Its connection stays open, so only the others can tell. */
const SILENT_AFTER_MS = 1_000;
/** Between two looks for who has taken the place of a node that is away. */
const LOOK_PAUSE_MS = 500;

/**
 * A Redis Cluster, over a client of the application.
 *
 * The client knows where the slots are, but commands go out on the connections of the nodes, through a gate each. The
 * client by itself would keep them through an outage and send them when it is over, and could not tell that a WAIT goes
 * the same way as the change that it is for.
 */
export class ClusterConnection implements RedisConnection {
  readonly where = 'The Redis Cluster of the `client` handed in';
  readonly clustered = true;
  readonly keyPrefix: KeyPrefix;
  private readonly lines = new WeakMap<object, CommandLine>();
  private looking: Promise<void> | undefined;
  private lookedAt = -Infinity;

  constructor(
    private readonly cluster: ClusterClient,
    readonly replicaWait?: ReplicaWait,
  ) {
    this.keyPrefix = cluster.keyPrefix;
  }

  async open(host: StorageHost | undefined): Promise<void> {
    await untilReady(this.cluster, this.where, host);
    await Promise.all(this.cluster.primaries().map((node) => this.lineTo(node)));
  }

  async close(): Promise<void> {}

  servers(): readonly RedisServer[] {
    return this.cluster.primaries().map((node) => ({
      where: nameOf(node),
      send: async (command, _key, isChange) => (await this.lineTo(node)).send(command, isChange),
    }));
  }

  async send(command: RedisCommand, key: string, isChange?: IsChange): Promise<unknown> {
    const slot = clusterSlot(this.keyPrefix.stored + key.slice(this.keyPrefix.sent.length));
    let node = this.cluster.primaryOf(slot);
    let asking = false;
    for (let redirections = 0; ; redirections += 1) {
      try {
        // Not awaited when it is there: what is sent in one turn travels together.
        const line = this.openLineTo(node) ?? (await this.lineTo(node));
        if (line.silentMs > SILENT_AFTER_MS) this.lookForHeir(key);
        // Sent right before, it makes the node answer for a slot that it is about to get.
        if (asking) line.send(['ASKING'], isChange && (() => false)).catch(() => {});
        return await line.send(command, isChange);
      } catch (error) {
        const [word, , address = ''] = messageOf(error).split(' ', 3);
        if (word !== 'MOVED' && word !== 'ASK') {
          // Its slots may have another primary by now.
          if (!isReady(node)) this.lookForHeir(key);
          throw error;
        }
        if (redirections === MAX_REDIRECTIONS) throw sentAround(this.where, slot, error);
        asking = word === 'ASK';
        node = await this.redirected(asking, address, slot, key);
      }
    }
  }

  private async redirected(
    asking: boolean,
    address: string,
    slot: number,
    key: string,
  ): Promise<ClusterNode | undefined> {
    const known = this.cluster.nodeAt(address);
    const looked = asking && known !== undefined ? undefined : this.lookAgain(key, false);
    if (known !== undefined) return known;
    await looked;
    return this.cluster.nodeAt(address) ?? (asking ? undefined : this.cluster.primaryOf(slot));
  }

  /** The line to a node whose connection was used before, or is there. */
  private openLineTo(node: ClusterNode | undefined): CommandLine | undefined {
    if (node?.client === undefined || node.identity === undefined || node.connect !== undefined)
      return undefined;
    let line = this.lines.get(node.identity);
    if (line === undefined) {
      line = commandLine(node.client, nameOf(node), this.replicaWait);
      this.lines.set(node.identity, line);
    }
    return line;
  }

  private async lineTo(node: ClusterNode | undefined): Promise<CommandLine> {
    if (node === undefined) throw notSent(this.where, 'has no connection to the node of this key');
    if (node.connect !== undefined) {
      await beforeDeadline(node.connect(), nameOf(node), () => 'it cannot be connected', PATIENCE_MS);
    }
    const line = this.openLineTo(node);
    if (line === undefined) throw notSent(nameOf(node), 'is not connected');
    return line;
  }

  private lookForHeir(key: string): void {
    if (performance.now() - this.lookedAt > LOOK_PAUSE_MS) void this.lookAgain(key, true);
  }

  /** One look at a time, however many commands are redirected. */
  private lookAgain(key: string, elsewhere: boolean): Promise<void> {
    if (this.looking === undefined) this.lookedAt = performance.now();
    this.looking ??= beforeDeadline(this.cluster.lookAgain(key, elsewhere), this.where, () => '', PATIENCE_MS)
      .catch(() => {})
      .finally(() => {
        this.looking = undefined;
      });
    return this.looking;
  }
}

function nameOf({ address }: ClusterNode): string {
  return `Node ${address} of the Redis Cluster`;
}

function isReady(node: ClusterNode | undefined): boolean {
  return node?.client?.isReady() === true;
}

function sentAround(where: string, slot: number, cause: unknown): StorageUnavailableError {
  return new StorageUnavailableError(
    `${where} sent a command for slot ${slot} around ${MAX_REDIRECTIONS} times: its nodes do not agree where the slot is. ` +
      'They should within seconds: see `CLUSTER SLOTS` on each of them.',
    { cause },
  );
}
