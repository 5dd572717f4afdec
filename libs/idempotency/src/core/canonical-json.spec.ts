import { describe, expect, it } from '@jest/globals';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { canonicalJson, TooDeepError } from './canonical-json.js';

describe('canonicalJson', () => {
  it.each([
    [null, 'null'],
    [undefined, 'null'],
    ['a"b', '"a\\"b"'],
    ['\ud800', '"\\ud800"'],
    [-0, '0'],
    [1e21, '1e+21'],
    [true, 'true'],
    [[3, undefined, 'x'], '[3,null,"x"]'],
    [new Array<number>(2), '[null,null]'],
    [{ b: 1, a: 2, c: undefined }, '{"a":2,"b":1}'],
    [{ '10': 1, '9': 2, '\u20ac': 3, '\r': 4 }, '{"\\r":4,"10":1,"9":2,"€":3}'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [{ at: { toJSON: () => ({ z: 1, y: 2 }) } }, '{"at":{"y":2,"z":1}}'],
  ])('writes %p as %s', (value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it('writes the same text whatever the order of the members, at any depth', () => {
    const { fraction } = seededRandomness(5);
    for (let round = 0; round < 300; round += 1) {
      const value = anything(fraction, 0);
      const text = canonicalJson(value);
      expect(canonicalJson(shuffled(value, fraction))).toBe(text);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }
  });

  it('tells apart what JSON would make equal', () => {
    const values: unknown[] = [
      5,
      '5',
      5n,
      'bigint(5)',
      Buffer.from('5'),
      'bytes(NQ==)',
      {},
      [],
      new Map(),
      new Map([['a', 1]]),
      new Map([['a', 2]]),
      new Set(['a']),
      new URLSearchParams('a=1'),
      new URLSearchParams('a=2'),
      [['a', 1]],
      { a: 1 },
      'items([["a",1]])',
    ];
    expect(new Set(values.map(canonicalJson)).size).toBe(values.length);
  });

  it('keeps a member called `__proto__`', () => {
    expect(canonicalJson(JSON.parse('{"__proto__":{"admin":true}}'))).toBe('{"__proto__":{"admin":true}}');
  });

  it('refuses what is nested too deeply, cycles among it, before the stack is full', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = [cyclic];
    expect(() => canonicalJson(cyclic)).toThrow(TooDeepError);
    const deep = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels)) as unknown;
    expect(() => canonicalJson(deep(100_000))).toThrow(TooDeepError);
    expect(canonicalJson(deep(500))).toHaveLength(1000);
  });
});

function anything(fraction: () => number, depth: number): unknown {
  const kind = Math.floor(fraction() * (depth > 4 ? 4 : 6));
  if (kind === 0) return null;
  if (kind === 1) return fraction() < 0.5;
  if (kind === 2) return Math.round((fraction() - 0.5) * 1e6) / 1000;
  if (kind === 3) return String.fromCharCode(...Array.from({ length: 4 }, () => fraction() * 0x3000));
  const items = Array.from({ length: fraction() * 5 }, () => anything(fraction, depth + 1));
  if (kind === 4) return items;
  return Object.fromEntries(items.map((item) => [`${Math.floor(fraction() * 1000)}`, item]));
}

function shuffled(value: unknown, fraction: () => number): unknown {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, fraction));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([key, member]) => [key, shuffled(member, fraction)] as const);
  return Object.fromEntries(members.sort(() => fraction() - 0.5));
}
