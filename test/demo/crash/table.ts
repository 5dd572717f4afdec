import type { Outcome } from './one-order.js';

const HEAD = ['killed at', 'the client saw', 'the retry got', 'orders', 'charges', 'stock moves'] as const;
/** Wide enough for what is usual; what is longer moves the rest of its line. */
const WIDTHS = [44, 48, 48, 6, 7, 11];

export const head = (): string => line([...HEAD]);

export const row = (outcome: Outcome): string =>
  [line(cells(outcome)), ...outcome.broken.map((sentence) => `    NOT AS PROMISED: ${sentence}`)].join('\n');

const line = (texts: readonly string[]): string =>
  texts
    .map((text, at) => text.padEnd(WIDTHS[at] ?? 0))
    .join('  ')
    .trimEnd();

export function cells({ kill, saw, got, orders, charges, stockMoves }: Outcome): string[] {
  return [kill.at.map(shown).join(', then '), saw, got, String(orders), String(charges), String(stockMoves)];
}

/** The first visit needs no number. */
const shown = (point: string): string => point.replace(/#1$/, '');

export const markdownHead = (): string => `| ${HEAD.join(' | ')} |\n| ${HEAD.map(() => '---').join(' | ')} |`;
export const markdownRow = (outcome: Outcome): string => `| ${cells(outcome).join(' | ')} |`;
