import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandomness } from 'nestjs-idempotent/testing';
import type { PostgresServer } from '../../support/postgres-server.js';
import type { RabbitServer } from '../../support/rabbitmq-server.js';
import { restartBroker } from './broker-restarts.js';
import { countDelivered } from './delivered-messages.js';
import { brokenPromises, FACTS, type Fact, type OutboxRunOptions, type OutboxTally } from './outbox-tally.js';
import { OutboxWriters } from './outbox-writers.js';
import { Pace } from './pace.js';
import { ProcessKills } from './process-kills.js';
import { QueueViewer, queuesNamed } from './queues.js';
import { RunProcess } from './run-process.js';

export interface OutboxServers {
  readonly rabbit: RabbitServer;
  readonly postgres: PostgresServer;
}

/** Relays are killed and the broker goes away while messages are added; then the queue is held against what was committed. */
export async function runOutbox(servers: OutboxServers, options: OutboxRunOptions): Promise<OutboxTally> {
  const { rabbit, postgres } = servers;
  const random = seededRandomness(options.seed);
  const name = `outbox_${options.seed}`;
  const queues = queuesNamed(name);
  const viewer = new QueueViewer(rabbit.url);
  await viewer.declare(queues);
  const address = await postgres.createDatabase(name);
  const writers = await OutboxWriters.open(address);

  const facts = Object.fromEntries(FACTS.map((fact) => [fact, 0])) as Record<Fact, number>;
  const hear = (line: string, from: RunProcess) => {
    if (line.startsWith('held ')) kills.held(from, line.slice('held '.length));
    else facts[line as Fact] += 1;
  };
  const env = {
    DATABASE_URL: address.url,
    AMQP_URL: rabbit.url,
    QUEUE: queues.queue,
    LEASE: options.lease,
    PUBLISH_TIMEOUT: options.publishTimeout,
  };
  const processes = Array.from(
    { length: options.relays },
    (_, at) => new RunProcess(`relay ${at + 1}`, 'test/faults/messages/relay-process.ts', env, hear),
  );
  const pace = new Pace({
    progress: () => facts.published / options.messages,
    state: () => [facts.published, processes.map(({ starts }) => starts), writers.transactions],
    stuckAfterMs: options.stuckAfterMs,
  });
  const points = ['confirmed', 'about to publish'];
  const kills = new ProcessKills({ processes, random, pace, points });
  const started = performance.now();
  let restarts = 0;
  try {
    await Promise.all(processes.map((process) => process.start()));
    const restarting = restartBroker({ rabbit, pace, awayMs: options.brokerAwayMs }, options.halts);
    const writing = writers.write({ ...options, random, allow: (part) => pace.allow(part) });
    await Promise.all([writing, kills.run(options.kills), restarting]);
    restarts = await restarting;
    await kills.end();
    await sent(writers, pace);
  } finally {
    await kills.end().catch(() => undefined);
    await Promise.all(processes.map((process) => process.stop()));
  }
  const seconds = (performance.now() - started) / 1000;
  try {
    const written = await writers.written();
    const { waiting, dead } = await writers.counts();
    const counted = {
      ...countDelivered(written, await viewer.drain(queues.queue)),
      ...{ written: written.size, transactions: writers.transactions, rolledBack: writers.rolledBack.size },
      ...{ facts, kills: kills.counts, restarts, waiting, dead, seconds },
      complaints: processes.map(({ name, said }) => `${name}:\n${said}`).join('\n'),
    };
    return { ...counted, broken: brokenPromises(counted, options) };
  } finally {
    await writers.close();
  }
}

/** Until nothing waits in the table, or nothing moves any more. */
async function sent(writers: OutboxWriters, pace: Pace): Promise<void> {
  while (!pace.isStuck) {
    if ((await writers.counts()).waiting === 0) return;
    await sleep(50);
  }
}
