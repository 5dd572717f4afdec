/**
 * `npm run faults:redis`: clients send keys to two processes while slots move and primaries are killed and frozen, in an
 * order that a seed decides. Writes what happened to test/faults/reports/redis.md; ends with 1 when a promise was broken.
 *
 * `SEED` repeats an order, `FAULTS` is how many of them a scenario has (6), `REDIS_SERVER_BIN` names another server.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { seededRandomness } from 'nestjs-idempotent/testing';
import { RedisCluster } from '../../support/redis-cluster.js';
import type { RedisNode } from '../../support/redis-node.js';
import { RedisSentinel } from '../../support/redis-sentinel.js';
import { failOverCluster, failOverSentinel } from './failover.js';
import { moveSlots } from './move-slots.js';
import { ANSWERED, onceAndOneAnswer, underLoad, type LoadResult } from './under-load.js';

const REPORT = 'test/faults/reports/redis.md';
const KEYS_BETWEEN_FAULTS = 60;

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const faultsPerScenario = Number(process.env['FAULTS'] ?? 6);
const random = seededRandomness(seed);
const pick = <T>(items: readonly T[]): T => items[Math.floor(random.fraction() * items.length)] as T;

interface Ran extends LoadResult {
  readonly scenario: string;
  readonly faults: readonly string[];
  readonly kept: boolean;
}

const ran: Ran[] = [];

function note(
  scenario: string,
  faults: readonly string[],
  result: LoadResult,
  promised: Partial<LoadResult>,
): void {
  const given = Object.fromEntries(
    Object.keys(promised).map((name) => [name, result[name as keyof LoadResult]]),
  );
  const kept = isDeepStrictEqual(given, promised);
  ran.push({ ...result, scenario, faults, kept });
  console.log(`${scenario} · ${faults.join(', ')} · ${result.summary}${kept ? '' : ' · PROMISE BROKEN'}`);
}

async function onCluster(waitReplicas: number | undefined): Promise<string> {
  const cluster = await RedisCluster.start({ replicas: 1 });
  const faults: string[] = [];
  try {
    const server = await versionOf(cluster.masters[0] as RedisNode);
    const ports = cluster.nodes.map(({ port }) => port);
    const result = await underLoad({
      client: { kind: 'cluster', ports },
      storage: waitReplicas === undefined ? {} : { waitReplicas },
      async faults(load) {
        for (let at = 0; at < faultsPerScenario; at += 1) {
          await load.begun(load.keysBegun + KEYS_BETWEEN_FAULTS);
          faults.push(await oneClusterFault(cluster));
        }
        await load.begun(load.keysBegun + KEYS_BETWEEN_FAULTS);
      },
    });
    note(named('Cluster', waitReplicas), faults, result, promise(result, waitReplicas));
    return server;
  } finally {
    await cluster.stop();
  }
}

async function oneClusterFault(cluster: RedisCluster): Promise<string> {
  const fault = pick(['slots moved', 'promoted by agreement', 'killed', 'frozen'] as const);
  const shards = await cluster.shards();
  const shard = pick(shards);
  if (fault === 'killed' || fault === 'frozen') {
    await failOverCluster(cluster, shard, fault);
  } else if (fault === 'promoted by agreement') {
    await cluster.promote(shard.replicas[0] as RedisNode);
    await cluster.settled();
  } else {
    const slot = Math.floor(random.fraction() * 16_384);
    const from = await cluster.ownerOf(slot);
    const { master: to } = pick(shards.filter(({ master }) => master !== from));
    await moveSlots(cluster, { first: slot, count: 1 }, from, to);
    await cluster.settled();
  }
  return fault;
}

async function onSentinel(waitReplicas: number | undefined): Promise<void> {
  const group = await RedisSentinel.start({ replicas: 2 });
  const faults: string[] = [];
  try {
    const result = await underLoad({
      client: { kind: 'sentinel', ports: group.sentinels.map(({ port }) => port) },
      storage: waitReplicas === undefined ? {} : { waitReplicas },
      async faults(load) {
        for (let at = 0; at < faultsPerScenario; at += 1) {
          await load.begun(load.keysBegun + KEYS_BETWEEN_FAULTS);
          const fault = pick(['killed', 'frozen'] as const);
          await failOverSentinel(group, fault);
          faults.push(fault);
        }
        await load.begun(load.keysBegun + KEYS_BETWEEN_FAULTS);
      },
    });
    note(named('Sentinel', waitReplicas), faults, result, promise(result, waitReplicas));
  } finally {
    await group.stop();
  }
}

function named(kind: string, waitReplicas: number | undefined): string {
  return waitReplicas === undefined ? kind : `${kind}, \`waitReplicas: ${waitReplicas}\``;
}

function promise(result: LoadResult, waitReplicas: number | undefined): Partial<LoadResult> {
  return waitReplicas === undefined ? ANSWERED : onceAndOneAnswer(result);
}

async function versionOf(node: RedisNode): Promise<string> {
  const info = await node.info('server');
  const valkey = info['valkey_version'];
  return valkey === undefined ? `Redis ${info['redis_version'] ?? ''}` : `Valkey ${valkey}`;
}

function installed(name: string): string {
  const file = readFileSync(`node_modules/${name}/package.json`, 'utf8');
  return `\`${name}\` ${(JSON.parse(file) as { version: string }).version}`;
}

function report(server: string): string {
  const rows = ran.map(({ scenario, faults, keys, requests, executionsPerKey, answersPerKey, ...rest }) => {
    const executions = Object.entries(executionsPerKey).map(([times, count]) => `${times} × ${count}`);
    const differing = Object.entries(answersPerKey).filter(([times]) => Number(times) > 1);
    const differ = differing.reduce((sum, [, count]) => sum + count, 0);
    const cells = [
      scenario,
      faults.join(', '),
      keys,
      requests,
      executions.join(', '),
      differ === 0 ? 'all equal' : `${differ} differ`,
      rest.markedKeys,
      rest.unanswered.length,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return `# Failovers of Redis under load

Written by \`npm run faults:redis\`; not edited by hand. ${server}, Node ${process.versions.node}, ${installed('redis')}
(Express) and ${installed('ioredis')} (Fastify), one process each, on one storage. Seed ${seed}.

Three clients send each key at the same time, twelve keys at a time, until each has an answer; in the end every key is
sent once more to both processes. Killed is SIGKILL; a new replica is added afterwards. Frozen is SIGSTOP until another
server is primary, and then SIGCONT.

| servers | what happened meanwhile | keys | requests | executions per key | answers per key | marked \`unrecorded\` or \`superseded\` | without an answer |
| --- | --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}

const server = await onCluster(undefined);
await onCluster(1);
await onSentinel(undefined);
await onSentinel(2);
writeFileSync(REPORT, report(server));
const broken = ran.filter(({ kept }) => !kept).length;
console.log(`${ran.length} scenarios, ${broken} with a broken promise. Seed ${seed}. ${REPORT}`);
process.exitCode = broken === 0 ? 0 : 1;
