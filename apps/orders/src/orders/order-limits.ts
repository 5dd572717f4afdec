/**
 * The largest order they allow, 100 lines of 10 000 pieces at 100 000 000 minor units each, is worth 10^14: a total
 * always stays below 2^53 and so exact.
 */
export const LIMITS = {
  lines: 100,
  quantity: 10_000,
  unitPrice: 100_000_000,
  noteLength: 500,
  pageSize: 500,
} as const;
