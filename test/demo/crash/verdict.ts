import type { StartedApp, Tally } from './bench.js';
import type { Attempt, Customer } from './client.js';
import type { Kill } from './one-order.js';

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
export function notFinal(got: readonly Attempt[], { cancelled = false }: Kill): string[] {
  return (['order', 'payment'] as const).flatMap((leg) => {
    const last = got.filter((attempt) => attempt.leg === leg).at(-1)?.heard;
    const expected = cancelled && leg === 'payment' ? 409 : 201;
    if (last?.kind === 'answer' && last.status === expected) return [];
    const text = last?.kind === 'answer' ? `: ${last.text}` : '';
    return [`the ${leg} got no ${expected}${text}`];
  });
}

/** Asked once more, both are replayed, byte for byte. */
export async function notRepeated(
  customer: Customer,
  { url }: StartedApp,
  got: readonly Attempt[],
): Promise<string[]> {
  const again = await customer.orderAndPay(url);
  return (['order', 'payment'] as const).flatMap((leg) => {
    const [first, second] = [got, again].map(
      (attempts) => attempts.filter((attempt) => attempt.leg === leg).at(-1)?.heard,
    );
    if (first?.kind !== 'answer') return [];
    const same = second?.kind === 'answer' && second.replayed && second.text === first.text;
    return same ? [] : [`the ${leg} sent once more is not answered as before`];
  });
}

export function notOnce(tally: Tally, { cancelled = false }: Kill): string[] {
  const expected: Tally = { orders: 1, charges: 1, refunds: cancelled ? 1 : 0, stockMoves: 1 };
  return Object.entries(tally).flatMap(([name, count]) =>
    count === expected[name as keyof Tally] ? [] : [`${name}: ${count}`],
  );
}
