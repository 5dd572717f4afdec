import { cpus } from 'node:os';
import type { EffectCounts } from './consumers-database.js';
import type { ConsumersOptions, ConsumersTally } from './consumers-tally.js';
import { installed, type Section } from './report-file.js';

export function consumersSection(tally: ConsumersTally, options: ConsumersOptions): Section {
  const { facts, kills, seconds, messages } = tally;
  const heading = options.keys === 'with' ? 'Consumers' : 'The same consumers without keys';
  const where = [...kills].map(([place, count]) => `${place} ${count}`).join(', ');
  const total = [...kills.values()].reduce((sum, count) => sum + count, 0);
  const rows: readonly (readonly [string, string | number])[] = [
    ['messages', messages],
    ['deliveries published, 1 to 5 of each', tally.published],
    ['deliveries seen by a process', facts.delivered + facts.redelivered],
    ['of these marked as redelivered', facts.redelivered],
    ['acknowledged', facts.acked],
    ['given back (nack with requeue)', facts.requeued],
    ['refused (nack without requeue)', facts.refused],
    ['processes killed with `kill -9`', `${total} (${where})`],
    ['runs of the stock handler', facts['ran stock']],
    ['stock moves per message', effects(tally.stock)],
    ['units in the stock that do not fit', tally.wrongUnits],
    ['runs of the mail handler', facts['ran mail']],
    ['mails per message', effects(tally.mails)],
    ['calls that the mail service knew already by their key', tally.repeatedCalls],
    ['dead letters', tally.deadLetters],
    ['left in the queue, or unacknowledged', tally.left],
    ['time', `${seconds.toFixed(0)} s`],
  ];
  const text = `${options.keys === 'with' ? INTRODUCTION : WITHOUT}

Seed ${options.seed}, ${options.processes} processes, \`lease: '${options.lease}'\`, \`storageTimeout: '${options.storageTimeout}'\`, Node ${process.versions.node},
${installed('@nestjs/microservices')}, ${installed('amqplib')}, ${installed('typeorm')}, ${cpus().length} cores for everything.

| what | how many |
| --- | --- |
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}`;
  return { heading, text };
}

function effects({ once, never, moreThanOnce, invented }: EffectCounts): string {
  const counts = [`once ${once}`, `never ${never}`, `more than once ${moreThanOnce}`];
  return [...counts, ...(invented > 0 ? [`of no message ${invented}`] : [])].join(', ');
}

const INTRODUCTION = `Two consumers of one event on a durable queue of RabbitMQ, \`noAck: false\`: one moves stock in the database of the
records (\`transactional: true\`), the other calls a mail service in a step, with a key of its own. Processes are killed where
their handlers are, just before an acknowledgement goes out, and at any moment, and are started again.`;

const WITHOUT = `The same processes and kills, fewer messages; the handlers without \`@Idempotent()\`, which acknowledge by themselves after their
effects. It shows that the run above would notice.`;
