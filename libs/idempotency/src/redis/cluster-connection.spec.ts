import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { StorageUnavailableError } from '../core/errors.js';
import type { ClusterClient, ClusterNode } from './cluster-client.js';
import { ClusterConnection } from './cluster-connection.js';
import { NO_KEY_PREFIX, type RedisCommand } from './redis-client.js';

type Answer = (command: RedisCommand) => unknown;

/** Nodes that a real cluster has for moments only. */
function node(address: string, answer: Answer, more: Partial<ClusterNode> = {}): ClusterNode {
  const client = {
    isReady: () => true,
    connectionId: () => 1,
    send: async (command: RedisCommand) => answer(command),
  };
  return { address, identity: client, client, connect: undefined, ...more };
}

function clusterOf(primaryOf: () => ClusterNode | undefined, nodes: readonly ClusterNode[]) {
  const looks: string[] = [];
  const cluster: ClusterClient = {
    isOpen: () => true,
    isReady: () => true,
    warnings: () => [],
    keyPrefix: NO_KEY_PREFIX,
    primaryOf,
    primaries: () => nodes,
    nodeAt: (address) => nodes.find((known) => known.address === address),
    lookAgain: async (key) => {
      looks.push(key);
    },
  };
  return { looks, connection: new ClusterConnection(cluster) };
}

const moved = (to: string) => () => {
  throw new Error(`MOVED 7 ${to}`);
};

describe('a cluster connection', () => {
  it('gives up a command that two nodes send to each other', async () => {
    const nodes = [node('a:1', moved('b:1')), node('b:1', moved('a:1'))];
    const { connection } = clusterOf(() => nodes[0], nodes);
    const sent = connection.send(['GET', 'x'], 'x');
    await expect(sent).rejects.toThrow(StorageUnavailableError);
    await expect(sent).rejects.toThrow('around 5 times: its nodes do not agree where the slot is');
  });

  it('looks again before it follows a redirection to a node that is not known', async () => {
    const old = node('a:1', moved('b:1'));
    const heir = node('b:1', () => 'here');
    const nodes = [old];
    const { connection, looks } = clusterOf(() => nodes.at(-1), nodes);
    const sent = connection.send(['GET', 'x'], 'x');
    nodes.push(heir);
    await expect(sent).resolves.toBe('here');
    expect(looks).toEqual(['x']);
  });

  it('sends nothing when no node is known for the key, and looks for one', async () => {
    const { connection, looks } = clusterOf(() => undefined, []);
    await expect(connection.send(['GET', 'x'], 'x')).rejects.toThrow(
      'has no connection to the node of this key, so nothing was sent',
    );
    await expect(connection.send(['GET', 'x'], 'x')).rejects.toThrow(StorageUnavailableError);
    expect(looks).toEqual(['x']);
  });

  describe('to a node whose first connection takes long', () => {
    beforeEach(() => void jest.useFakeTimers());
    afterEach(() => void jest.useRealTimers());

    it('waits for a second, and sends nothing afterwards', async () => {
      const sent: RedisCommand[] = [];
      const never = { identity: undefined, client: undefined, connect: () => new Promise(() => {}) };
      const slow = node('a:1', (command) => sent.push(command), never);
      const { connection } = clusterOf(() => slow, [slow]);
      const claim = expect(connection.send(['GET', 'x'], 'x')).rejects.toThrow(
        'Node a:1 of the Redis Cluster cannot be used: it cannot be connected, after 1000 ms',
      );
      await jest.advanceTimersByTimeAsync(1_000);
      await claim;
      expect(sent).toEqual([]);
    });
  });
});
