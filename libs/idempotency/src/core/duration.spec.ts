import { describe, expect, it } from '@jest/globals';
import { durationMs, inWords, PLAIN_NUMBER_LIMIT_S, type Duration } from './duration.js';
import { InvalidOptionsError } from './errors.js';

describe('durationMs', () => {
  it.each([
    [86_400, 86_400_000],
    [1, 1000],
    [0.25, 250],
    [0.0001, 1],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['2w', 1_209_600_000],
    [' 10 s ', 10_000],
    ['60d', 5_184_000_000],
  ])('reads %p as %p ms', (value, ms) => {
    expect(durationMs('ttl', value)).toBe(ms);
  });

  it.each([
    0,
    -1,
    Number.NaN,
    Infinity,
    '0s',
    '-5s',
    '5',
    '',
    's',
    '5 parsecs',
    '1h30m',
    '5S',
    '0.4ms',
    '99999999999999w',
    '1e3s',
    undefined,
    null,
    {},
    [30],
    true,
    30n,
  ])('refuses %p with the name of the option and what to write', (value) => {
    const read = () => durationMs('lease', value as Duration);
    expect(read).toThrow(InvalidOptionsError);
    expect(read).toThrow(/^`lease` is .*'30s' or '24h'\.$/);
  });

  it('takes numbers that must be milliseconds by mistake for one, and says what was meant', () => {
    expect(() => durationMs('ttl', 86_400_000)).toThrow(
      "`ttl` is 86400000 seconds (1000d). Numbers are seconds: write 86400 or '1d' if you meant milliseconds, or '1000d' if you did not.",
    );
  });

  it.each(Object.entries(PLAIN_NUMBER_LIMIT_S))(
    'takes numbers for %s up to %p seconds, and no more',
    (option, limitS) => {
      expect(durationMs(option, limitS, limitS)).toBe(limitS * 1000);
      expect(() => durationMs(option, limitS + 1, limitS)).toThrow(InvalidOptionsError);
      expect(durationMs(option, `${limitS + 1}s`, limitS)).toBe((limitS + 1) * 1000);
    },
  );

  it('reads what `inWords` writes', () => {
    for (let ms = 1; ms < 1e13; ms = Math.ceil(ms * 1.7)) {
      for (const near of [ms, ms - (ms % 1000) + 1000, ms - (ms % 3_600_000) + 3_600_000]) {
        expect(durationMs('ttl', inWords(near))).toBe(near);
      }
    }
  });
});
