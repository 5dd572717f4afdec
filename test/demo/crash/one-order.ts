import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, StartedApp, Tally } from './bench.js';
import { Customer, type Attempt, type CustomerOptions, type Leg } from './client.js';
import { notFinal, notOnce, notRepeated, told } from './verdict.js';

/** Where apps are killed while one customer orders and pays. */
export interface Kill {
  /** What CRASH_AT is for the first app, and for each further one that the customer's retries meet. */
  readonly at: readonly string[];
  /** The request that meets the first of them. */
  readonly during: Leg;
  /** What the customer pays with, where it matters. */
  readonly card?: string;
  /** After the first crash somebody cancels the order: what was charged has to be given back. */
  readonly cancelled?: boolean;
}

export interface Outcome extends Tally {
  readonly kill: Kill;
  /** What the client heard until the app was dead. */
  readonly saw: string;
  /** What the same requests got from the app that was started again. */
  readonly got: string;
  /** Points that the last app passed, in order, each as `name#visit`. */
  readonly passed: readonly string[];
  /** What is not as promised; empty when all is well. */
  readonly broken: readonly string[];
}

/** Something may still be done after an answer has left. */
const AFTERWARDS_MS = 150;
const DIES_WITHIN_MS = 5_000;

let runs = 0;

/** One customer, who orders and pays while apps are killed and started again. */
export async function oneOrder(bench: Bench, kill: Kill, options: CustomerOptions): Promise<Outcome> {
  const customer = new Customer(options);
  const broken: string[] = [];
  const saw: Attempt[] = [];
  for (const point of kill.at) {
    const app = await bench.startApp({ CRASH_AT: point });
    saw.push(...(await customer.orderAndPay(app.url)));
    const end = await endOf(app);
    if (end !== 'SIGKILL') broken.push(`${point} was not reached: the app ${end}`);
    if (kill.cancelled && point === kill.at[0]) await bench.cancelOrders(customer.user);
  }
  const trace = bench.file(`trace-${++runs}`);
  const app = await bench.startApp({ CRASH_TRACE: trace });
  try {
    const got = await customer.orderAndPay(app.url);
    await sleep(AFTERWARDS_MS);
    const passed = pointsIn(trace);
    broken.push(...notFinal(got, kill), ...(options.keepsKeys ? await notRepeated(customer, app, got) : []));
    const tally = await bench.tally(customer.user);
    broken.push(...notOnce(tally, kill));
    return { kill, saw: told(saw), got: told(got), passed, broken, ...tally };
  } finally {
    app.process.kill('SIGKILL');
    await app.process.ended;
  }
}

/** Which points an order and its payment pass when nobody is killed, and which of the two requests passes them. */
export async function plainPath(
  bench: Bench,
  options: CustomerOptions,
): Promise<readonly { readonly point: string; readonly during: Leg }[]> {
  const customer = new Customer(options);
  const trace = bench.file(`trace-${++runs}`);
  const app = await bench.startApp({ CRASH_TRACE: trace });
  try {
    const order = await customer.send('order', app.url);
    await sleep(AFTERWARDS_MS);
    const ofOrder = pointsIn(trace);
    if (order.kind === 'nothing' || order.status !== 201)
      throw new Error(
        `An order without any crash was not placed: ${JSON.stringify(order)}\n${app.process.said()}`,
      );
    const { id } = JSON.parse(order.text) as { id: string };
    const payment = await customer.send('payment', app.url, id);
    await sleep(AFTERWARDS_MS);
    if (payment.kind === 'nothing' || payment.status !== 201)
      throw new Error(
        `A payment without any crash failed: ${JSON.stringify(payment)}\n${app.process.said()}`,
      );
    return pointsIn(trace).map((point, at) => ({ point, during: at < ofOrder.length ? 'order' : 'payment' }));
  } finally {
    app.process.kill('SIGKILL');
    await app.process.ended;
  }
}

/** The signal that ended it; when nothing does, it is killed here and the answer says so. */
async function endOf({ process }: StartedApp): Promise<string> {
  const timer = new AbortController();
  const late = sleep(DIES_WITHIN_MS, 'lived on', { signal: timer.signal }).catch(() => 'lived on');
  const end = await Promise.race([process.ended, late]);
  timer.abort();
  if (end !== 'lived on') return typeof end === 'number' ? `ended with ${end}` : end;
  process.kill('SIGKILL');
  await process.ended;
  return end;
}

function pointsIn(trace: string): string[] {
  return readFileSync(trace, 'utf8').split('\n').filter(Boolean);
}
