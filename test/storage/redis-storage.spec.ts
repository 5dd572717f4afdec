import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisStorage } from '../../libs/idempotency/src/redis/redis-storage.js';
import {
  REDIS_SCRIPTS,
  redisScript,
  type RedisScripts,
  type ScriptName,
} from '../../libs/idempotency/src/redis/scripts/index.js';
import { UrlConnection } from '../../libs/idempotency/src/redis/url-connection.js';
import { storageContract, type ContractHarness } from '../../libs/idempotency/src/testing/index.js';
import { nodeRedisClient } from '../support/redis-clients.js';
import { redisHarness } from '../support/redis-harness.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { describeContract } from './contract-column.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/** Two instances with a connection each. Redis judges time by its own clock, so time passes by waiting. */
async function withHarness(
  scripts: { storage: RedisScripts; peer: RedisScripts },
  use: (harness: ContractHarness) => Promise<void>,
): Promise<void> {
  const storage = new RedisStorage(new UrlConnection(server.url), scripts.storage);
  const peer = new RedisStorage(new UrlConnection(server.url), scripts.peer);
  await Promise.all([storage.start(), peer.start()]);
  try {
    await use({ storage, openPeer: () => Promise.resolve(peer), advance: (ms) => sleep(ms) });
  } finally {
    await Promise.all([storage.stop(), peer.stop()]);
  }
}

describeContract('Redis, node-redis', () => redisHarness(() => nodeRedisClient(server.url)));

/** The scripts with one text replaced; fails when it is not there, so that a fault cannot silently vanish. */
function withFault(from: string | RegExp, to: string, only?: readonly ScriptName[]): RedisScripts {
  let changes = 0;
  const faulty = Object.entries(REDIS_SCRIPTS).map(([name, { source }]) => {
    const wanted = only === undefined || only.includes(name as ScriptName);
    const changed = wanted ? source.replaceAll(from, to) : source;
    if (changed !== source) changes += 1;
    return [name, redisScript(changed)] as const;
  });
  if (changes !== (only?.length ?? Object.keys(REDIS_SCRIPTS).length)) {
    throw new Error(`The fault is planted in ${changes} scripts: its text was not found in the others.`);
  }
  return Object.fromEntries(faulty) as Record<ScriptName, (typeof REDIS_SCRIPTS)[ScriptName]>;
}

describe('a fault that only a real Redis shows is caught by the contract:', () => {
  const TWO_HOURS_AHEAD = withFault('local now = time[1]', 'local now = 7200000 + time[1]', [
    'claim',
    'renew',
    'view',
  ]);
  const faults = [
    {
      fault: 'the clock of the app process instead of that of the server',
      scripts: { storage: REDIS_SCRIPTS, peer: TWO_HOURS_AHEAD },
      caughtBy: 'claim: another instance sees a running claim, its fingerprint and what is left of its lease',
    },
    {
      fault: 'results without a keeping time',
      scripts: withFault(", 'PX', ARGV[2])", ')', ['complete']),
      caughtBy: 'keeping: a result past its ttl is absent before it is purged',
    },
    {
      fault: 'unfinished records without a keeping time',
      scripts: withFault(", 'PX', ttl)", ')', ['claim']),
      caughtBy: 'keeping: an unfinished record past its keeping time is absent before it is purged',
    },
    {
      fault: 'a renewal that forgets the keeping time',
      scripts: withFault(/^redis\.call\('PEXPIRE'.*$/gm, '', ['renew']),
      caughtBy: 'renew: a record outlives its renewed lease by keepMs',
    },
    {
      fault: 'a saved step that ends the keeping time',
      scripts: withFault(", 'KEEPTTL')", ')', ['saveStep']),
      caughtBy: 'inspection: a running record shows everything about it, on every instance',
    },
    {
      fault: 'ids in lower case',
      scripts: withFault('KEYS[1]', 'string.lower(KEYS[1])'),
      caughtBy: 'isolation: ids are compared byte for byte',
    },
    {
      fault: 'results cut at the first NUL, as a C string would be',
      scripts: withFault('.. ARGV[3]', ".. string.gsub(ARGV[3], '%z', ' ')", ['complete']),
      caughtBy: 'sizes: a result of NUL alone is replayed as it is',
    },
  ];

  for (const { fault, scripts, caughtBy } of faults) {
    it(fault, async () => {
      const clause = storageContract.find(({ name }) => name === caughtBy);
      const pair = 'peer' in scripts ? scripts : { storage: scripts, peer: scripts };
      await withHarness(pair, async (harness) => {
        if (clause === undefined) throw new Error(`The contract has no clause "${caughtBy}".`);
        await expect(clause.run(harness)).rejects.toMatchObject({ code: 'ERR_ASSERTION' });
      });
    });
  }
});
