/**
 * `npm run demo:crash`: places an order and pays it, again and again, and kills the app with SIGKILL at every one of its
 * points in turn, also those of the outbox and the consumers; starts it again, lets the client retry, and counts in the
 * database, in the ledger and in the mailbox. Ends with 1 when anything is not there exactly once, or a retry gets no final
 * answer.
 */
import { spawnSync } from 'node:child_process';
import { buildOrders, endAllOrders, ordersMain } from '../../support/orders-process.js';
import { Bench } from './bench.js';
import { everyPoint, type Explored } from './every-point.js';
import { DATABASES, nameOf, readOptions, USAGE, type DemoOptions, type Setting } from './options.js';
import { PAYMENTS_POINTS } from './payments-die.js';
import { writeReport, type Part } from './report.js';
import { startServer, type Server } from './server.js';
import { head, row } from './table.js';

const options = understood();
/** Nothing that was started outlives this: see the `exit` handlers of test/support. */
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
buildOrders();
const { points, sample } = options;
/** What the app itself names; not asked where nothing is made of it. */
const known = points.length > 0 || sample === undefined ? knownPoints() : [];
refuseUnknown(points);
const parts: Part[] = [];
const strays: string[] = [];
/** The servers of test/support keep nobody waiting, not even for their end. */
const staying = setInterval(() => undefined, 60_000);
try {
  for (const database of DATABASES) {
    const settings = options.settings.filter((setting) => setting.database === database);
    if (settings.length === 0) continue;
    const server = await startServer(database);
    try {
      for (const setting of settings) {
        parts.push(await demonstrate(setting, server));
        if (options.report !== undefined) writeReport(options.report, parts);
      }
    } finally {
      await server.stop();
    }
  }
} finally {
  await endAllOrders();
  clearInterval(staying);
}
const outcomes = parts.flatMap(({ explored }) => explored.outcomes);
const broken = outcomes.filter(({ broken: sentences }) => sentences.length > 0).length + strays.length;
console.log(
  broken === 0
    ? `${outcomes.length} customers: 1 order, 1 charge, 1 e-mail and 1 stock move, each time.`
    : `${broken} of ${outcomes.length} did not end as promised: see NOT AS PROMISED above.`,
);
process.exitCode = broken === 0 && outcomes.length > 0 ? 0 : 1;

async function demonstrate(setting: Setting, server: Server): Promise<Part> {
  const began = performance.now();
  console.log(`\n${nameOf(setting)}\n${head()}`);
  const opening = Array.from({ length: options.lanes }, (_, lane) => Bench.open(setting, server, lane));
  try {
    const benches = await Promise.all(opening);
    const explored = await everyPoint(benches, options, (outcome) => console.log(row(outcome)));
    const part = {
      setting,
      explored,
      unreached: unreached(explored),
      seconds: (performance.now() - began) / 1000,
    };
    console.log(summary(part));
    for (const stray of (await Promise.all(benches.map((bench) => bench.strays()))).flat()) {
      strays.push(stray);
      console.log(`    NOT AS PROMISED: ${stray}`);
    }
    return part;
  } finally {
    for (const opened of await Promise.allSettled(opening))
      if (opened.status === 'fulfilled') await opened.value.close();
  }
}

function summary({ setting, explored, unreached: never, seconds }: Part): string {
  const { outcomes, kills } = explored;
  const failed = outcomes.filter(({ broken: sentences }) => sentences.length > 0).length;
  const of = outcomes.length < kills ? ` (a sample of ${kills})` : '';
  const lines = [
    `${nameOf(setting)}: ${outcomes.length} kills${of} in ${seconds.toFixed(0)} s, ${failed} not as promised.`,
  ];
  if (points.length === 0 && sample === undefined)
    lines.push(
      `Passed by no order, message or payment, and so not tried here: ${never.join(', ') || 'none'}.`,
    );
  return lines.join('\n');
}

function unreached({ reached }: Explored): string[] {
  const never = known.filter((point) => !reached.has(point));
  return [...new Set(never.map((point) => point.replace(/:(before|after)$/, '')))];
}

function refuseUnknown(some: readonly string[]): void {
  const asked = some.flatMap((point) => point.split(',')).map((point) => point.replace(/#\d+$/, ''));
  const strange = asked.filter((point) => !known.includes(point) && !PAYMENTS_POINTS.includes(point));
  if (strange.length === 0) return;
  console.error(
    `There is no point ${strange.join(', ')}. There are: ${[...known, ...PAYMENTS_POINTS].join(', ')}.`,
  );
  process.exit(2);
}

function knownPoints(): string[] {
  const { PATH = '', HOME = '/' } = process.env;
  const { stdout, stderr, status } = spawnSync(process.execPath, [ordersMain], {
    env: { PATH, HOME, CRASH_AT: 'list' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`CRASH_AT=list failed.\n${stdout}${stderr}`);
  return stdout.split('\n').filter(Boolean);
}

function understood(): DemoOptions {
  try {
    return readOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}
