import type { Bench } from './bench.js';
import { Customer, type Attempt, type CustomerOptions } from './client.js';
import type { Tally } from './counts.js';
import { told, verdict } from './verdict.js';

/** Where apps are killed while one customer orders and pays. */
export interface Kill {
  /** Where the app dies, and where each further one does that the customer's retries meet. */
  readonly at: readonly string[];
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

const DIES_WITHIN_MS = 5_000;
const PLAIN_TRIES = 6;

/** One customer, who orders and pays while apps are killed and started again. */
export async function oneOrder(bench: Bench, kill: Kill, options: CustomerOptions): Promise<Outcome> {
  const customer = new Customer(options);
  const settled = () => bench.settled(customer.user);
  const broken: string[] = [];
  const saw: Attempt[] = [];
  for (const point of kill.at) {
    const app = await bench.appThatDiesAt(point);
    saw.push(...(await customer.orderAndPay(app.url, settled)));
    const end = await bench.death(DIES_WITHIN_MS);
    if (end !== 'SIGKILL') broken.push(`${point} was not reached: the app ${end}`);
    if (kill.cancelled && point === kill.at[0]) await bench.cancelOrders(customer.user);
  }
  const app = await bench.appThatLives();
  const got = await customer.orderAndPay(app.url, settled);
  const passed = await bench.passed();
  const found = await verdict(bench, customer, app, kill, got);
  return { ...found, kill, saw: told(saw), got: told(got), passed, broken: [...broken, ...found.broken] };
}

/**
 * Which points an order, its messages and its payment pass when nobody is killed: what two customers in a row have passed. On a
 * machine that is very busy one may pass more, because something was tried again.
 */
export async function plainPath(bench: Bench, options: CustomerOptions): Promise<readonly string[]> {
  let last = await passedBy(new Customer(options), bench);
  for (let tries = 1; tries < PLAIN_TRIES; tries += 1) {
    const next = await passedBy(new Customer(options), bench);
    if ([...next].sort().join() === [...last].sort().join()) return next;
    last = next;
  }
  throw new Error(`No two customers out of ${PLAIN_TRIES} have passed the same points.`);
}

async function passedBy(customer: Customer, bench: Bench): Promise<readonly string[]> {
  const app = await bench.appThatLives();
  const heard = await customer.orderAndPay(app.url, () => bench.settled(customer.user));
  const answers = heard.map(({ heard: answer }) => (answer.kind === 'answer' ? answer.status : answer.why));
  if (answers.join() !== '201,201') {
    const said = `${JSON.stringify(heard)}\n${app.process.said()}`;
    throw new Error(`An order and its payment without any crash did not come to an end: ${said}`);
  }
  return bench.passed();
}
