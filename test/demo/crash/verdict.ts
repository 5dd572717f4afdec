import type { Bench, StartedApp } from './bench.js';
import type { Attempt, Customer, Leg } from './client.js';
import type { Tally } from './counts.js';
import type { Kill, Outcome } from './one-order.js';

/**
 * What has come of a customer, once nothing more can come of it.
 *
 * @param got what was heard of the app that is there now
 */
export async function verdict(
  bench: Bench,
  customer: Customer,
  app: StartedApp,
  kill: Kill,
  got: readonly Attempt[],
): Promise<Tally & Pick<Outcome, 'broken'>> {
  const broken = notFinal(got, kill);
  if (!(await bench.settled(customer.user)))
    broken.push('what follows from the order was not all done in time');
  if (customer.keepsKeys) broken.push(...(await notRepeated(bench, customer, app, got)));
  const tally = await bench.tally(customer.user);
  broken.push(...notOnce(tally, kill), ...(await notTold(customer, app, got, tally)));
  return { broken, ...tally };
}

/** `order 201, payment 409 × 2 201 (replayed)` */
export function told(attempts: readonly Attempt[]): string {
  const legs = (['order', 'payment'] as const).map((leg) => {
    const heard = attempts.filter((attempt) => attempt.leg === leg).map((attempt) => inWords(attempt));
    return heard.length === 0 ? undefined : `${leg} ${counted(heard)}`;
  });
  return legs.filter(Boolean).join(', ');
}

/** `409 × 3, 201` */
function counted(words: readonly string[]): string {
  const told = words.filter((word, at) => word !== words[at - 1]);
  let at = 0;
  const texts = told.map((word) => {
    const from = at;
    while (words[at] === word) at += 1;
    return at - from === 1 ? word : `${word} × ${at - from}`;
  });
  return texts.join(' ');
}

function inWords({ heard }: Attempt): string {
  if (heard.kind === 'nothing') return `no answer (${heard.why})`;
  return `${heard.status}${heard.replayed ? ' (replayed)' : ''}`;
}

/** Both have got 201; a payment for an order that was cancelled, 409. */
function notFinal(got: readonly Attempt[], { cancelled = false }: Kill): string[] {
  return (['order', 'payment'] as const).flatMap((leg) => {
    const last = lastOf(got, leg);
    const expected = cancelled && leg === 'payment' ? 409 : 201;
    if (last?.kind === 'answer' && last.status === expected) return [];
    const text = last?.kind === 'answer' ? `: ${last.text}` : '';
    return [`the ${leg} got no ${expected}${text}`];
  });
}

/** Asked once more, both are replayed, byte for byte. */
async function notRepeated(
  bench: Bench,
  customer: Customer,
  { url }: StartedApp,
  got: readonly Attempt[],
): Promise<string[]> {
  const again = await customer.orderAndPay(url, () => bench.settled(customer.user));
  return (['order', 'payment'] as const).flatMap((leg) => {
    const [first, second] = [lastOf(got, leg), lastOf(again, leg)];
    if (first?.kind !== 'answer') return [];
    const same = second?.kind === 'answer' && second.replayed && second.text === first.text;
    return same ? [] : [`the ${leg} sent once more is not answered as before`];
  });
}

function notOnce(tally: Tally, { cancelled = false }: Kill): string[] {
  const expected: Tally = { orders: 1, charges: 1, refunds: cancelled ? 1 : 0, emails: 1, stockMoves: 1 };
  return Object.entries(tally).flatMap(([name, count]) =>
    count === expected[name as keyof Tally] ? [] : [`${name}: ${count}`],
  );
}

/** `GET /orders/:id/effects` tells the same as database, ledger and mailbox. Not asked when there is more than one order. */
async function notTold(
  customer: Customer,
  { url }: StartedApp,
  got: readonly Attempt[],
  { orders, charges, refunds, emails, stockMoves }: Tally,
): Promise<string[]> {
  const order = lastOf(got, 'order');
  if (orders !== 1 || order?.kind !== 'answer' || order.status !== 201) return [];
  const effects = await customer.effects(url, (JSON.parse(order.text) as { id: string }).id);
  const expected = { orders, charges: charges - refunds, emails, stockMoves };
  return Object.entries(expected).flatMap(([name, count]) => {
    const shown = effects[name as keyof typeof expected];
    return shown === count ? [] : [`/effects tells ${name}: ${String(shown)}`];
  });
}

const lastOf = (attempts: readonly Attempt[], leg: Leg): Attempt['heard'] | undefined =>
  attempts.filter((attempt) => attempt.leg === leg).at(-1)?.heard;
