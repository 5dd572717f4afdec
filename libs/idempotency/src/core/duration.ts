import { InvalidOptionsError } from './errors.js';

/** A number is **seconds**; a string carries its unit: `'250ms'`, `'30s'`, `'5m'`, `'24h'`, `'7d'`, `'2w'`. */
export type Duration = number | string;

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** The largest number of seconds that cannot be a mistake for milliseconds, per option. A string may say more. */
export const PLAIN_NUMBER_LIMIT_S = {
  ttl: 31 * 86_400,
  lease: 3600,
  maxRun: 86_400,
  waitTimeout: 600,
  storageTimeout: 60,
  localCacheTtl: 3600,
} as const;

/**
 * Reads a duration in milliseconds, whole and at least 1.
 *
 * @param option name for the message, in the user's words
 * @param limitS numbers above it are taken for milliseconds by mistake and refused
 * @throws InvalidOptionsError naming the option and what was probably meant
 */
export function durationMs(
  option: string,
  value: Duration,
  limitS: number = PLAIN_NUMBER_LIMIT_S.ttl,
): number {
  if (typeof value === 'string') return textMs(option, value);
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidOptionsError(
      `\`${option}\` is ${describe(value)}, which is not a duration. Write seconds as a number above 0, or a string with a unit such as '30s' or '24h'.`,
    );
  }
  if (value > limitS) {
    throw new InvalidOptionsError(
      `\`${option}\` is ${value} seconds (${inWords(value * 1000)}). Numbers are seconds: write ${value / 1000} or '${inWords(value)}' if you meant milliseconds, or '${inWords(value * 1000)}' if you did not.`,
    );
  }
  return Math.max(1, Math.round(value * 1000));
}

function textMs(option: string, value: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$/.exec(value.trim());
  const ms = match ? Math.round(Number(match[1]) * (UNITS[match[2] ?? ''] ?? NaN)) : NaN;
  if (!Number.isSafeInteger(ms) || ms < 1) {
    throw new InvalidOptionsError(
      `\`${option}\` is '${value}', which is not a duration. Write a number above 0 with a unit (ms, s, m, h, d, w), such as '30s' or '24h'.`,
    );
  }
  return ms;
}

/** The shortest exact way to write it: 86_400_000 is `1d`. */
export function inWords(ms: number): string {
  for (const unit of ['w', 'd', 'h', 'm', 's'] as const) {
    const size = UNITS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

function describe(value: unknown): string {
  return typeof value === 'number' ? String(value) : `of type ${typeof value}`;
}
