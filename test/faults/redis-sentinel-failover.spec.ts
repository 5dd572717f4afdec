import { afterEach, describe, expect, it } from '@jest/globals';
import { RedisSentinel } from '../support/redis-sentinel.js';
import { failOverSentinel } from './redis/failover.js';
import { ANSWERED, onceAndOneAnswer, underLoad, type LoadResult } from './redis/under-load.js';

const KEYS_BETWEEN = 40;

let group: RedisSentinel | undefined;
afterEach(() => group?.stop());

/**
 * Clients send keys all the time while the primary is killed, and then while the next one stands still until another one is
 * promoted, and goes on as if it still were the primary.
 */
async function twoFailovers(storage: object, whileFrozen: boolean): Promise<LoadResult> {
  const running = (group = await RedisSentinel.start({ replicas: 2 }));
  const ports = running.sentinels.map(({ port }) => port);
  return underLoad({
    client: { kind: 'sentinel', ports },
    storage,
    async faults(load) {
      const more = () => load.begun(load.keysBegun + KEYS_BETWEEN);
      await more();
      await failOverSentinel(running, 'killed');
      await more();
      await failOverSentinel(running, 'frozen', whileFrozen ? more : undefined);
      await more();
    },
  });
}

describe('two processes behind Sentinels whose primary is killed, and then frozen, under load', () => {
  it('give an answer for every key, and where a failover lost a record its operation ran again', async () => {
    const result = await twoFailovers({}, true);
    process.stdout.write(`Sentinel, primary killed, then frozen: ${result.summary}\n`);
    expect(result).toMatchObject(ANSWERED);
  }, 150_000);

  it('run every key once and give one answer for it with `waitReplicas` of as many as there are', async () => {
    const result = await twoFailovers({ waitReplicas: 2 }, false);
    process.stdout.write(`Sentinel, primary killed, then frozen, waitReplicas 2: ${result.summary}\n`);
    expect(result).toMatchObject(onceAndOneAnswer(result));
  }, 150_000);
});
