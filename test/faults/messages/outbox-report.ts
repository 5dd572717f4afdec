import { cpus } from 'node:os';
import type { OutboxRunOptions, OutboxTally } from './outbox-tally.js';
import { installed, type Section } from './report-file.js';

export function outboxSection(tally: OutboxTally, options: OutboxRunOptions): Section {
  const { facts, kills } = tally;
  const where = [...kills].map(([place, count]) => `${place} ${count}`).join(', ');
  const total = [...kills.values()].reduce((sum, count) => sum + count, 0);
  const rows: readonly (readonly [string, string | number])[] = [
    ['messages of committed transactions', tally.written],
    ['transactions', tally.transactions],
    ['messages of those that were rolled back', tally.rolledBack],
    ['relays killed with `kill -9`', `${total} (${where})`],
    ['times the broker was ended and started again', `${tally.restarts} (${options.halts.join(', ')})`],
    ['confirmations that a relay has heard', facts.published],
    ['tries that failed', facts['not published']],
    ['messages in the queue', tally.delivered],
    ['duplicates among them', tally.duplicates],
    ['not delivered', tally.missing],
    ['of no committed transaction', tally.invented],
    ['first deliveries before an older one of their aggregate', tally.outOfOrder],
    ['changed on the way', tally.altered],
    ['left in the table; dead letters', `${tally.waiting}; ${tally.dead}`],
    ['time', `${tally.seconds.toFixed(0)} s`],
  ];
  const text = `${options.writers} writers add messages about ${options.aggregates} aggregates to PostgreSQL, each in a transaction that locks its
aggregate's row; some of these are rolled back. ${options.relays} relays publish through Nest's \`ClientRMQ\`; they are killed before a
message goes out, when it is confirmed and they do not know it yet, and at any moment, and are started again. The queue is
read at the end, in its order.

Seed ${options.seed}, \`lease: '${options.lease}'\`, \`publishTimeout: '${options.publishTimeout}'\`, Node ${process.versions.node},
${installed('@nestjs/microservices')}, ${installed('amqp-connection-manager')}, ${installed('typeorm')}, ${cpus().length} cores for everything.

| what | how many |
| --- | --- |
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}`;
  return { heading: 'The outbox', text };
}
