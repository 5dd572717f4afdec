import { POINTS, type FaultPoint } from '../../../apps/payments/src/faults/faults.js';
import { startPayments } from '../../support/payments-service.js';
import type { Bench } from './bench.js';
import { Customer, type CustomerOptions } from './client.js';
import type { Kill, Outcome } from './one-order.js';
import { notFinal, notOnce, notRepeated, told } from './verdict.js';

/** Where the payment service, which is somebody else's, may die. */
export const PAYMENTS_POINTS: readonly string[] = POINTS.map(named);

function named(point: FaultPoint): string {
  return `apps/payments ${point}`;
}

/** One customer, who orders and pays while the payment service is killed and started again; the app lives. */
export async function paymentsDie(bench: Bench, at: string, options: CustomerOptions): Promise<Outcome> {
  const kill: Kill = { at: [at], during: 'payment' };
  const payments = await startPayments();
  const app = await bench.startApp({ PAYMENTS_URL: payments.url });
  try {
    await payments.breakAt({ point: POINTS.find((point) => named(point) === at)!, kind: 'die' });
    const restarted = payments.hasDied().then(() => payments.start());
    const customer = new Customer(options);
    const [heard] = await Promise.all([customer.orderAndPay(app.url), restarted]);
    const seen = heard.findIndex(({ leg }) => leg === 'payment') + 1;
    const broken = [
      ...notFinal(heard, kill),
      ...(options.keepsKeys ? await notRepeated(customer, app, heard) : []),
    ];
    const tally = await bench.tally(customer.user, payments);
    return {
      kill,
      saw: told(heard.slice(0, seen)),
      got: told(heard.slice(seen)) || 'nothing to retry',
      passed: [],
      broken: [...broken, ...notOnce(tally, kill)],
      ...tally,
    };
  } finally {
    app.process.kill('SIGKILL');
    await app.process.ended;
    await payments.stop();
  }
}
