import type { Outcome } from './one-order.js';

const HEAD = [
  'killed at',
  'the client saw',
  'the retry got',
  'orders',
  'charges',
  'emails',
  'stock moves',
] as const;
/** Wide enough for what is usual; what is longer moves the rest of its line. */
const WIDTHS = [44, 48, 48, 6, 7, 6, 11];

export const head = (): string => line([...HEAD]);

export const row = (outcome: Outcome): string =>
  [line(cells(outcome)), ...outcome.broken.map((sentence) => `    NOT AS PROMISED: ${sentence}`)].join('\n');

const line = (texts: readonly string[]): string =>
  texts
    .map((text, at) => text.padEnd(WIDTHS[at] ?? 0))
    .join('  ')
    .trimEnd();

export function cells({ kill, saw, got, orders, charges, refunds, emails, stockMoves }: Outcome): string[] {
  const [first = '', ...further] = kill.at.map(shown);
  const at = [kill.cancelled ? `${first}, order cancelled` : first, ...further].join(', then ');
  const given = refunds === 0 ? got : `${got}, ${refunds} refund${refunds === 1 ? '' : 's'}`;
  return [at, saw, given, String(orders), String(charges), String(emails), String(stockMoves)];
}

/** The first visit needs no number. */
const shown = (point: string): string => point.replace(/#1$/, '');

export const markdownHead = (): string => `| ${HEAD.join(' | ')} |\n| ${HEAD.map(() => '---').join(' | ')} |`;
export const markdownRow = (outcome: Outcome): string => `| ${cells(outcome).join(' | ')} |`;
