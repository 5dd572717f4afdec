import { POINTS, type FaultPoint } from '../../../apps/payments/src/faults/faults.js';
import type { Bench } from './bench.js';
import { Customer, type CustomerOptions } from './client.js';
import type { Kill, Outcome } from './one-order.js';
import { told, verdict } from './verdict.js';

/** Where the payment service, which is somebody else's, may die. */
export const PAYMENTS_POINTS: readonly string[] = POINTS.map(named);

function named(point: FaultPoint): string {
  return `apps/payments ${point}`;
}

/** One customer, who orders and pays while the payment service is killed and started again; the app lives. */
export async function paymentsDie(bench: Bench, at: string, options: CustomerOptions): Promise<Outcome> {
  const kill: Kill = { at: [at] };
  const { payments } = bench;
  const app = await bench.appThatLives();
  await payments.breakAt({ point: POINTS.find((point) => named(point) === at)!, kind: 'die' });
  const restarted = payments.hasDied().then(() => payments.start());
  const customer = new Customer(options);
  const [heard] = await Promise.all([
    customer.orderAndPay(app.url, () => bench.settled(customer.user)),
    restarted,
  ]);
  const seen = heard.findIndex(({ leg }) => leg === 'payment') + 1;
  return {
    ...(await verdict(bench, customer, app, kill, heard)),
    kill,
    saw: told(heard.slice(0, seen)),
    got: told(heard.slice(seen)) || 'nothing to retry',
    passed: [],
  };
}
