/**
 * `npm run faults:outbox`: 5,000 messages about 50 aggregates, two relays that are killed again and again, and a broker that is ended
 * and started in the middle. Prints and writes down what is in the queue then; ends with 1 when a promise was broken.
 *
 * `-- --seed`, `--messages`, `--kills` say how; a run of another size than the usual is not written down.
 */
import { parseArgs } from 'node:util';
import { outboxSection } from './outbox-report.js';
import { runOutbox } from './outbox-scenario.js';
import { writeSection } from './report-file.js';
import { withServers } from './with-servers.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    messages: { type: 'string', default: '5000' },
    kills: { type: 'string', default: '12' },
  },
});
const options = {
  seed: Number(values.seed),
  messages: Number(values.messages),
  kills: Number(values.kills),
  aggregates: 50,
  writers: 8,
  relays: 2,
  halts: ['gracefully', 'at once'],
  brokerAwayMs: 2_000,
  lease: '5s',
  publishTimeout: '2s',
  stuckAfterMs: 60_000,
} as const;
const isUsual = options.messages === 5_000 && options.kills === 12;

await withServers(async ({ rabbit, postgres }) => {
  const tally = await runOutbox({ rabbit, postgres }, options);
  const section = outboxSection(tally, options);
  console.log(section.text);
  if (isUsual) await writeSection(section);
  if (tally.broken.length > 0) {
    console.log(`PROMISE BROKEN: ${tally.broken.join(', ')}. Seed ${options.seed}.\n${tally.complaints}`);
    process.exitCode = 1;
  }
});
