import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { IoredisClient } from './ioredis.js';
import { fromIoredisCluster, type IoredisCluster } from './ioredis-cluster.js';

/** A node that is being connected until the test says otherwise, and counts who looks. */
class ConnectingNode implements IoredisClient {
  readonly options = { host: '127.0.0.1', port: 1 };
  now = 'wait';
  looks = 0;
  connects = 0;

  get status(): string {
    this.looks += 1;
    return this.now;
  }

  connect(): Promise<unknown> {
    this.connects += 1;
    this.now = 'connecting';
    return Promise.reject(new Error('Connection is closed.'));
  }

  callBuffer(): Promise<unknown> {
    return Promise.reject(new Error('Nothing is sent here.'));
  }

  pipeline(): never {
    throw new Error('Nothing is sent here.');
  }
}

function clusterOf(node: IoredisClient): IoredisCluster {
  return {
    status: 'ready',
    isCluster: true,
    slots: [],
    options: {},
    nodes: () => [node],
    refreshSlotsCache: (callback) => callback(),
    callBuffer: () => Promise.resolve(null),
  };
}

describe('a node of an ioredis Cluster that does not answer', () => {
  it('is connected once and looked at by one, however many calls wait for it', async () => {
    const node = new ConnectingNode();
    const cluster = fromIoredisCluster(clusterOf(node));
    const calls = Array.from({ length: 200 }, async () => cluster.primaries()[0]?.connect?.());
    const before = node.looks;
    await sleep(100);
    expect(node.connects).toBe(1);
    expect(node.looks - before).toBeLessThan(100);
    node.now = 'end';
    await Promise.all(calls);
    expect(cluster.primaries()[0]?.connect).toBeUndefined();
    node.now = 'wait';
    const again = cluster.primaries()[0]?.connect?.();
    expect(node.connects).toBe(2);
    node.now = 'ready';
    await again;
  });
});
