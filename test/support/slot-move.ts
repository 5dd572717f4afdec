import type { RedisNode } from './redis-node.js';

interface End {
  readonly node: RedisNode;
  readonly id: string;
}

const MIGRATE_TIMEOUT_MS = '5000';

/**
 * A slot on its way from one node to another, as `redis-cli --cluster reshard` moves it, one step at a time. Meanwhile the
 * old node serves the keys that it still has and sends clients on with ASK for all others.
 */
export class SlotMove {
  private constructor(
    private readonly slot: string,
    private readonly from: End,
    private readonly to: End,
    private readonly masters: () => Promise<readonly RedisNode[]>,
  ) {}

  static async start(
    slot: number,
    from: End,
    to: End,
    masters: () => Promise<readonly RedisNode[]>,
  ): Promise<SlotMove> {
    const move = new SlotMove(String(slot), from, to, masters);
    await to.node.command('CLUSTER', 'SETSLOT', move.slot, 'IMPORTING', from.id);
    await from.node.command('CLUSTER', 'SETSLOT', move.slot, 'MIGRATING', to.id);
    return move;
  }

  /** Moves so many keys, or the last ones, and tells how many it found. */
  async migrateKeys(count: number): Promise<number> {
    const { from, to, slot } = this;
    const keys = (await from.node.command('CLUSTER', 'GETKEYSINSLOT', slot, String(count))) as string[];
    if (keys.length === 0) return 0;
    const target = ['127.0.0.1', String(to.node.port), '', '0', MIGRATE_TIMEOUT_MS];
    await from.node.command('MIGRATE', ...target, 'KEYS', ...keys);
    return keys.length;
  }

  /** The new node owns the slot. It is told first, so that at no moment nobody does. */
  async finish(): Promise<void> {
    const others = (await this.masters()).filter((node) => node !== this.to.node && node !== this.from.node);
    for (const node of [this.to.node, this.from.node, ...others]) {
      await node.command('CLUSTER', 'SETSLOT', this.slot, 'NODE', this.to.id);
    }
  }
}
