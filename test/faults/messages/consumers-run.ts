/**
 * `npm run faults:consumers`: 10,000 messages, each delivered 1 to 5 times in an order that a seed decides, to four processes that
 * are killed again and again. Prints and writes down how often each had its effect; ends with 1 when a promise was broken.
 *
 * `-- --without-keys`: a tenth of it, and the same consumers without `@Idempotent()`. `--seed`, `--messages`, `--processes`, `--kills` say how; a
 * run of another size than the usual is not written down.
 */
import { parseArgs } from 'node:util';
import { consumersSection } from './consumers-report.js';
import { runConsumers } from './consumers-scenario.js';
import { writeSection } from './report-file.js';
import { withServers } from './with-servers.js';

const { values } = parseArgs({
  options: {
    'without-keys': { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    messages: { type: 'string' },
    processes: { type: 'string', default: '4' },
    kills: { type: 'string' },
  },
});
/** A tenth shows what there is to see without keys. */
const usual = values['without-keys'] ? { messages: 1_000, kills: 4 } : { messages: 10_000, kills: 40 };
const options = {
  keys: values['without-keys'] ? 'without' : 'with',
  seed: Number(values.seed),
  messages: Number(values.messages ?? usual.messages),
  processes: Number(values.processes),
  kills: Number(values.kills ?? usual.kills),
  // More than a machine may need that does other things meanwhile; who is killed is waited for as long as the lease lasts.
  lease: '10s',
  storageTimeout: '4s',
  stuckAfterMs: 60_000,
} as const;
const isUsual =
  options.messages === usual.messages && options.processes === 4 && options.kills === usual.kills;

await withServers(async ({ rabbit, postgres }) => {
  const tally = await runConsumers({ amqpUrl: rabbit.url, postgres }, options);
  const section = consumersSection(tally, options);
  console.log(section.text);
  if (isUsual) await writeSection(section);
  if (tally.broken.length > 0) {
    console.log(`PROMISE BROKEN: ${tally.broken.join(', ')}. Seed ${options.seed}.`);
    if (options.keys === 'with') console.log(tally.complaints);
    process.exitCode = 1;
  }
});
