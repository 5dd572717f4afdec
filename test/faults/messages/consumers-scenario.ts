import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandomness } from 'nestjs-idempotent/testing';
import type { PostgresServer } from '../../support/postgres-server.js';
import { ConsumersDatabase } from './consumers-database.js';
import {
  brokenPromises,
  FACTS,
  type ConsumersOptions,
  type ConsumersTally,
  type Fact,
} from './consumers-tally.js';
import { planDeliveries, publish } from './deliveries.js';
import { Pace } from './pace.js';
import { ProcessKills } from './process-kills.js';
import { QueueViewer, queuesNamed } from './queues.js';
import { RunProcess } from './run-process.js';

export interface Servers {
  readonly amqpUrl: string;
  readonly postgres: PostgresServer;
}

const POINTS = ['stock begun', 'stock written', 'mail sent', 'step saved', 'acknowledged'];

/** Delivers each message 1 to 5 times in any order to processes that are killed again and again, and counts the effects. */
export async function runConsumers(servers: Servers, options: ConsumersOptions): Promise<ConsumersTally> {
  const random = seededRandomness(options.seed);
  const deliveries = planDeliveries(options.messages, random);
  const name = `consumers_${options.keys}_keys_${options.seed}`;
  const queues = queuesNamed(name);
  const viewer = new QueueViewer(servers.amqpUrl);
  await viewer.declare(queues);
  const database = await ConsumersDatabase.create(servers.postgres, name, deliveries);

  const facts = Object.fromEntries(FACTS.map((fact) => [fact, 0])) as Record<Fact, number>;
  /** Deliveries that a process has and did not answer yet. */
  const unanswered = new Map<RunProcess, number>();
  const hear = (line: string, from: RunProcess) => {
    if (line.startsWith('held ')) return kills.held(from, line.slice('held '.length));
    if (!(line in facts)) throw new Error(`${from.name} says: ${line}`);
    facts[line as Fact] += 1;
    if (/^(re)?delivered$/.test(line)) unanswered.set(from, (unanswered.get(from) ?? 0) + 1);
    if (/^(acked|requeued|refused)$/.test(line)) unanswered.set(from, (unanswered.get(from) ?? 0) - 1);
  };
  const env = {
    DATABASE_URL: database.url,
    MAILER_URL: database.mailerUrl,
    AMQP_URL: servers.amqpUrl,
    QUEUE: queues.queue,
    LEASE: options.lease,
    STORAGE_TIMEOUT: options.storageTimeout,
    KEYS: options.keys,
  };
  const processes = Array.from(
    { length: options.processes },
    (_, at) => new RunProcess(`consumer ${at + 1}`, 'test/faults/messages/consumer-process.ts', env, hear),
  );
  const published = deliveries.inOrder.length;
  const pace = new Pace({
    progress: () =>
      (facts.acked / published + (facts['ran stock'] + facts['ran mail']) / options.messages / 2) / 2,
    state: () => [facts.acked, processes.map(({ starts }) => starts)],
    stuckAfterMs: options.stuckAfterMs,
  });
  const points = POINTS.filter((point) => options.keys === 'with' || point !== 'step saved');
  const onKilled = (process: RunProcess) => void unanswered.delete(process);
  const kills = new ProcessKills({ processes, random, pace, points, onKilled });
  const started = performance.now();
  try {
    await Promise.all(processes.map((process) => process.start()));
    await Promise.all([
      publish(servers.amqpUrl, queues.queue, 'orders.placed', deliveries, (part) => pace.allow(part)),
      kills.run(options.kills),
    ]);
    await kills.end();
    await drained();
  } finally {
    await kills.end().catch(() => undefined);
    await Promise.all(processes.map((process) => process.stop()));
  }
  const seconds = (performance.now() - started) / 1000;
  const counted = {
    ...{ messages: options.messages, published, facts, kills: kills.counts, seconds },
    ...(await database.count()),
    // Nobody consumes any more: what was not acknowledged is waiting again.
    left: await viewer.waiting(queues.queue),
    deadLetters: await viewer.waiting(queues.deadLetters),
    complaints: processes.map(({ name, said }) => `${name}:\n${said}`).join('\n'),
  };
  return { ...counted, broken: brokenPromises(counted, options) };

  /** Until no message waits and none is in anybody's hands, or nothing moves any more. */
  async function drained(): Promise<void> {
    while (!pace.isStuck) {
      const waiting = await viewer.waiting(queues.queue);
      const held = [...unanswered.values()].reduce((sum, count) => sum + count, 0);
      if (waiting + held === 0) return;
      await sleep(50);
    }
  }
}
